"""Short films with known truth: who is in them, what they do and when, and a caption that says so."""
