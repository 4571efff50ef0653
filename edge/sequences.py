"""What the decoder already holds: sequences of tokens and tiles whose keys and values need no second computing.

A prompt is a sequence of elements, each a token or a whole tile. A new request goes on from the longest
beginning that it has in common with any sequence that is held, whoever made it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from magicvl.edge.llama import Context


@dataclass(frozen=True)
class SeenTile:
    """A tile as an element of a sequence."""

    key: bytes
    """What `magicvl.edge.tile_cache.tile_key` gives."""
    tokens: int
    """Its visual tokens."""


Element = int | SeenTile
"""A token id, or a tile."""

CONTEXT_STEP = 512
"""Contexts are made in multiples of this, so that the next request often fits the last one's."""


def whole_steps(tokens: int) -> int:
    """The size of a context that holds so many tokens."""
    return -(-tokens // CONTEXT_STEP) * CONTEXT_STEP


def in_common(one: Sequence[Element], other: Sequence[Element]) -> int:
    """How many elements two sequences begin with alike."""
    count = 0
    for mine, theirs in zip(one, other, strict=False):
        if mine != theirs:
            break
        count += 1
    return count


def token_count(elements: Sequence[Element]) -> int:
    """Tokens of a sequence, visual ones among them."""
    return sum(element.tokens if isinstance(element, SeenTile) else 1 for element in elements)


@dataclass(eq=False)
class Slot:
    """A sequence of the context."""

    number: Final[int]
    """Its id in the context."""
    owner: object = None
    """The conversation that it belongs to; None for single questions."""
    elements: list[Element] = field(default_factory=list)
    """What is surely held; the context may hold more behind it, which is cut off before it is gone on with."""
    used: int = 0
    """When it was last used, in requests."""


class Sequences:
    """The context and what it holds: `count` sequences, the least recently used given up first."""

    def __init__(self, make: "Callable[[int, int], Context]", count: int, limit: int) -> None:
        """`make` gives a context of so many tokens and sequences; together they hold at most `limit` tokens."""
        self._make = make
        self._limit = limit
        self._slots = [Slot(number) for number in range(count)]
        self._requests = 0
        self.context: Context | None = None

    def begin(self, owner: object, elements: Sequence[Element], room: int) -> "tuple[Context, Slot, int]":
        """Makes ready to go on with `elements`, for `room` tokens in all.

        Returns the context, the slot, and how many of the elements are held; the last is left to be computed, for
        its logits. The caller appends to the slot's elements what it pushes.
        """
        self._requests += 1
        best = max(self._slots, key=lambda slot: (in_common(slot.elements, elements), slot.owner is owner))
        held = min(in_common(best.elements, elements), len(elements) - 1)
        slot = best if best.owner is owner or not best.elements else self._slot_for(owner, best if held else None)
        slot.owner, slot.used = owner, self._requests
        if held and slot is not best and self.context is not None:
            self.context.copy(best.number, slot.number)
        slot.elements = list(elements[:held])
        context = self._with_room(slot, room)
        if not context.select(slot.number, token_count(slot.elements)):
            slot.elements = []
        return context, slot, len(slot.elements)

    def leave(self, owner: object) -> None:
        """Gives up an owner's sequences."""
        for slot in self._slots:
            if slot.owner is owner:
                self._empty(slot)

    def state(self, owner: object, most: int | None = None) -> tuple[list[Element], npt.NDArray[np.uint8]] | None:
        """What an owner's sequence holds, and its memory as bytes.

        None where nothing is held, or where that is more than `most` bytes.
        """
        for slot in self._slots:
            if slot.owner is owner and slot.elements and self.context is not None:
                if not self.context.select(slot.number, token_count(slot.elements)):
                    slot.elements = []
                elif most is None or self.context.state_size(slot.number) <= most:
                    return list(slot.elements), self.context.state(slot.number)
        return None

    def restore(self, owner: object, elements: Sequence[Element], state: npt.NDArray[np.uint8]) -> bool:
        """Takes over what `state` gave, of this model and build; False where it is not taken."""
        self._requests += 1
        slot = self._slot_for(owner, None)
        slot.owner, slot.used = owner, self._requests
        if self._with_room(slot, token_count(elements)).restore(slot.number, state):
            slot.elements = list(elements)
        return bool(slot.elements)

    def forget(self) -> None:
        """Gives up all sequences."""
        for slot in self._slots:
            self._empty(slot)

    def close(self) -> None:
        """Frees the context."""
        self.forget()
        if self.context is not None:
            self.context.close()
            self.context = None

    def _slot_for(self, owner: object, source: Slot | None) -> Slot:
        """A slot of the owner's own: the one it has, an empty one, or the least recently used."""
        mine = [slot for slot in self._slots if slot.owner is owner and slot.elements]
        slot = mine[0] if mine else min(self._slots, key=lambda each: (bool(each.elements), each.used))
        # Where that is the source itself, it is gone on with.
        if slot is not source:
            self._empty(slot)
        return slot

    def _with_room(self, slot: Slot, room: int) -> "Context":
        """A context in which the slot can grow to `room` tokens, others given up where they stand in the way."""

        def needed() -> int:
            return room + sum(token_count(other.elements) for other in self._slots if other is not slot)

        while needed() > max(self._limit, room):
            others = [other for other in self._slots if other is not slot and other.elements]
            self._empty(min(others, key=lambda other: other.used))
        if self.context is None or self.context.size < needed():
            self._renew(needed())
        assert self.context is not None
        return self.context

    def _renew(self, size: int) -> None:
        """A larger context, which takes over what the last one held."""
        last = self.context
        states = []
        if last is not None:
            for slot in self._slots:
                if slot.elements and last.select(slot.number, token_count(slot.elements)):
                    states.append((slot, last.state(slot.number)))
                else:
                    slot.elements = []
            # First forgotten, then freed: who is interrupted between the two must not find it.
            self.context = None
            last.close()
        self.context = self._make(whole_steps(size), len(self._slots))
        for slot, state in states:
            if not self.context.restore(slot.number, state):
                slot.elements = []

    def _empty(self, slot: Slot) -> None:
        slot.elements, slot.owner, slot.used = [], None, 0
        if self.context is not None:
            self.context.select(slot.number, 0)
