"""Training of captions for films: supervised, then by rewards (GRPO), after VideoCap-R1 (arXiv 2506.01725)."""
