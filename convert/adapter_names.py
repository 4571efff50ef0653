"""Where an adapter's matrices lie in a checkpoint that calls its modules otherwise.

transformers renames modules as it loads a checkpoint, and renamed them between its versions; PEFT writes the names
of the model that it found in memory. What differs are the wrappers at the front:

    model.language_model.layers.0.self_attn.q_proj    in memory, version 5
    language_model.model.layers.0.self_attn.q_proj    on disk, version 4
    model.layers.0.self_attn.q_proj                   the decoder alone
    vision_tower.vision_model.encoder.layers.0...     the encoder, whose layers are the encoder's in every version

So the wrappers are taken off, and a matrix belongs where the rest is the same, unless one name says that it is the
encoder's and the other that it is the decoder's.
"""

from collections.abc import Mapping

_TEXT, _VISION = frozenset({"language_model", "text_model"}), frozenset({"vision_tower", "vision_model"})
_WRAPPERS = _TEXT | _VISION | {"base_model", "model", "module"}

Shape = tuple[int, ...]


def find_places(wanted: Mapping[str, Shape], there: Mapping[str, Shape]) -> dict[str, list[str]]:
    """For each matrix by its name in the adapter, the names in the checkpoint that can be meant.

    The same name is meant alone. Of several others the shape decides, where it does: one is the place, none or more
    are for the caller to refuse.
    """
    by_rest: dict[str, list[str]] = {}
    for name in there:
        by_rest.setdefault(_rest(name)[0], []).append(name)
    found = {}
    for name, shape in wanted.items():
        rest, tower = _rest(name)
        like = [other for other in by_rest.get(rest, []) if len({tower, _rest(other)[1]} - {None}) < 2]
        fitting = [other for other in like if there[other] == shape]
        found[name] = [name] if name in there else like if len(like) == 1 else fitting
    return found


def _rest(name: str) -> tuple[str, str | None]:
    """A name without its wrappers, and the tower that they name."""
    parts = name.split(".")
    first = next((i for i, part in enumerate(parts) if part not in _WRAPPERS), len(parts))
    wrappers = set(parts[:first])
    tower = "encoder" if wrappers & _VISION else "decoder" if wrappers & _TEXT else None
    return ".".join(parts[first:]), tower
