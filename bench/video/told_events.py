"""The events that a caption tells, taken out of it without a language model.

DREAM-1K has a language model list them: one action each, short, nouns for pronouns, nothing that stands still
(arXiv 2407.00634). Here it is done by the rules that the entailment of captions is told by
(magicvl.train.rewards.frames), in their words: who, then what is done.
"""

from magicvl.train.rewards.frames import frames


def told_events(caption: str) -> tuple[str, ...]:
    """The events in the caption's order, each once: `red circle moves left`."""
    told = (" ".join(word.text for word in (*frame.actor, *frame.deed)) for frame in frames(caption))
    return tuple(dict.fromkeys(told))
