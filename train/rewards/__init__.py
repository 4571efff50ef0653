"""What a film's description is worth: its format, its subjects, its caption."""
