"""Which samples are worth training on: rules, repetition, near-duplicates, and an LLM that is asked."""
