"""Bar, line and pie charts, drawn with numbers whose answers are known."""
