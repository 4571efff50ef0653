"""Scenes of named objects and coloured shapes: what stands where is known, and everything is asked about that."""

from magicvl.train.generator.scenes import captions, grounding, numbers, odd, orders, relations, vqa

DATASETS = tuple(
    dataset for part in (captions, vqa, grounding, relations, numbers, odd, orders) for dataset in part.DATASETS
)
"""All of them: category caption, vqa, grounding and reasoning."""
