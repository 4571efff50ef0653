"""Films: frames chosen and looked at in order, subjects and a caption out."""
