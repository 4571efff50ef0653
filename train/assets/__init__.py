"""Named drawings and photographed backgrounds: fetched as Debian packages, packed into one file to draw from."""
