"""Text alone, without pictures, so that the decoder keeps its language."""
