"""Phone screens: what they show, what is on or off, which button does what, and where it is."""
