"""Makes the pack from unpacked packages: names, drawings, the split, backgrounds, licences."""

import gzip
import hashlib
import io
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import inflect
from PIL import Image

from magicvl.errors import SampleError
from magicvl.train.assets import packages
from magicvl.train.assets.catalogue import KEPT_APART, Backdrop, Catalogue, Name, Style, Thing, ThingSet
from magicvl.train.assets.drawings import Fingerprint, colour_of, draw, fingerprint, mean_colour, style_of
from magicvl.train.assets.names import MASS, PLURAL, group_of
from magicvl.train.assets.naming import Called, name_all
from magicvl.train.assets.nouns import Nouns
from magicvl.train.assets.pack import SIDE, SMALL, Content
from magicvl.train.assets.packages import Progress
from magicvl.train.assets.wallpapers import backdrops_of
from magicvl.train.generator.dataset import Split

MOST = 14
"""Drawings of one name at most; of one name's set, half of that."""
_ALIKE = 14
"""Of 128 bits of the fingerprint: where no more differ, it is the same drawing, in its set."""
_ALIKE_BEYOND = 8
"""The same for drawings of two sets."""
_QUALITY = 82
_OF_SET: Mapping[ThingSet, packages.Package] = {
    "stamps": packages.STAMPS,
    "openclipart": packages.OPENCLIPART,
    "flashcards": packages.FLASHCARDS,
    "costumes": packages.COSTUMES,
    "emoji": packages.EMOJI,
}


@dataclass(frozen=True)
class Built:
    """A pack's content, and what became of the rest."""

    content: Content
    refused: int
    """Drawings that could not be rendered, or of which hardly anything is seen."""
    alike: int
    """Those that another drawing of the same name repeats."""


@dataclass(frozen=True)
class _Drawn:
    """A named drawing with its sprite."""

    called: Called
    picture: Image.Image
    print: Fingerprint
    mirrored: Fingerprint

    @property
    def key(self) -> str:
        """By which the split orders it: the same whatever else there is."""
        return hashlib.sha256(f"{self.called.found.set}/{self.called.found.source}".encode()).hexdigest()


def build(roots: Mapping[str, Path], versions: Mapping[str, str], progress: Progress | None = None) -> Built:
    """Names, renders and splits everything that the unpacked packages hold; `roots` and `versions` by package.

    Raises SampleError where that is nothing.
    """
    called, nouns = name_all(roots)
    drawn, refused = _render(called, progress)
    kept, alike = _different(drawn)
    trained = {each.called.named.noun for each in kept if each.called.found.set != KEPT_APART}
    kept = [each for each in kept if each.called.named.noun in trained]
    things, sprites = _packed(kept)
    photographs = backdrops_of([roots[package.name] for package in packages.BACKGROUNDS if package.name in roots])
    if not things or not photographs:
        raise SampleError(
            f"the packages hold {len(things)} drawings and {len(photographs)} backgrounds; both are needed"
        )
    backdrops = tuple(Backdrop(number, split, source) for number, (source, split, _) in enumerate(photographs))
    catalogue = Catalogue(tuple(_names(nouns, kept)), tuple(things), backdrops, dict(versions))
    pictures = {number: data for number, (_, _, data) in enumerate(photographs)}
    return Built(Content(catalogue, sprites, pictures, _licences(roots)), refused, alike)


def _render(called: Sequence[Called], progress: Progress | None) -> tuple[list[_Drawn], int]:
    drawn, refused = [], 0
    for number, each in enumerate(called):
        if progress:
            progress("rendering drawing", number, len(called))
        picture = draw(each.found)
        if picture is None:
            refused += 1
        else:
            mirrored = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
            drawn.append(_Drawn(each, picture, fingerprint(picture), fingerprint(mirrored)))
    if progress:
        progress("rendering drawing", len(called), len(called))
    return drawn, refused


def _different(drawn: Iterable[_Drawn]) -> tuple[list[_Drawn], int]:
    """Without what repeats a drawing, turned or not; at most MOST of a name. A set kept apart is judged by itself."""
    by_name: dict[tuple[str, bool], list[_Drawn]] = defaultdict(list)
    seen: list[_Drawn] = []
    alike = 0
    for each in sorted(drawn, key=lambda each: each.key):
        there = by_name[each.called.named.noun, each.called.found.set == KEPT_APART]
        if any(_same(each, other) for other in there):
            alike += 1
        elif len(there) < MOST:
            there.append(each)
            seen.append(each)
    return sorted(seen, key=lambda each: (each.called.found.set, each.called.found.source)), alike


def _same(one: _Drawn, other: _Drawn) -> bool:
    most = _ALIKE if one.called.found.set == other.called.found.set else _ALIKE_BEYOND
    return any(int((bits != other.print).sum()) <= most for bits in (one.print, one.mirrored))


def _packed(kept: Sequence[_Drawn]) -> tuple[list[Thing], dict[int, tuple[bytes, bytes | None]]]:
    splits = _split(kept)
    things, sprites = [], {}
    for number, each in enumerate(kept):
        found, picture = each.called.found, each.picture
        style: Style = "photo" if style_of(found, picture) == "photo" else "drawing"
        things.append(
            Thing(
                number, each.called.named.noun, found.set, style, _OF_SET[found.set].licence, splits[each.key],
                *picture.size, colour_of(picture), mean_colour(picture), found.source,
            )
        )  # fmt: skip
        sprites[number] = _encoded(picture, SIDE), _encoded(picture, SMALL) if max(picture.size) > SMALL else None
    return things, sprites


def _split(kept: Iterable[_Drawn]) -> dict[str, Split]:
    """By hash of the drawing: of a name with two or more, about a fourth to test, one in six to validation.

    A name's only drawing is trained on, and the name is not tested. The set kept apart is all `style`.
    """
    by_name: dict[str, list[str]] = defaultdict(list)
    splits: dict[str, Split] = {}
    for each in kept:
        if each.called.found.set == KEPT_APART:
            splits[each.key] = "style"
        else:
            by_name[each.called.named.noun].append(each.key)
    for keys in by_name.values():
        keys.sort()
        tested = max(1, round(len(keys) / 4)) if len(keys) > 1 else 0
        validated = max(1, round(len(keys) / 6)) if len(keys) > 3 else 0
        for place, key in enumerate(keys):
            splits[key] = "test" if place < tested else "validation" if place < tested + validated else "train"
    return splits


def _encoded(picture: Image.Image, side: int) -> bytes:
    if max(picture.size) > side:
        picture = picture.copy()
        picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    picture.save(file, "WEBP", quality=_QUALITY, alpha_quality=90, method=4)
    return file.getvalue()


def _names(nouns: Nouns, kept: Iterable[_Drawn]) -> list[Name]:
    """What is said with each name, and which must not meet."""
    named = {each.called.named.noun: each.called.named for each in kept}
    engine = inflect.engine()
    above = {noun: _words_above(nouns, one.sense) for noun, one in named.items()}
    names = []
    for noun in sorted(named):
        kin = {other for other in named if other != noun and (other in above[noun] or noun in above[other])}
        plural = noun if noun in PLURAL else engine.plural_noun(noun)
        article = "" if noun in PLURAL else engine.a(noun).split()[0]
        countable = noun not in MASS and noun not in PLURAL
        others = tuple(sorted(_others(nouns, noun, named[noun].sense) - kin - {noun}))
        names.append(
            Name(noun, str(plural), article, group_of(nouns, named[noun]), others, tuple(sorted(kin)), countable)
        )
    return names


def _words_above(nouns: Nouns, sense: int | None) -> frozenset[str]:
    """All words for what it is, what it is a kind of, and what those are parts of or have as parts."""
    if sense is None:
        return frozenset()
    chain = nouns.chain(sense)
    parts = {part for offset in chain for part in nouns.senses[offset].parts if part in nouns.senses}
    return frozenset(word for offset in chain | parts for word in nouns.senses[offset].words)


def _others(nouns: Nouns, noun: str, sense: int | None) -> set[str]:
    """Synonyms, and the last word of a compound that is a kind of that."""
    if sense is None:
        return set()
    words = set(nouns.senses[sense].words[:4])
    last = noun.rpartition(" ")[2]
    return words | ({last} if set(nouns.things(last)) & nouns.chain(sense) else set())


def _licences(roots: Mapping[str, Path]) -> dict[str, str]:
    """Each package's copyright file, with its credits where it has some."""
    return {name: text for name, root in roots.items() if (text := _licence(root / "usr/share/doc" / name))}


def _licence(folder: Path) -> str:
    parts = []
    if (file := folder / "copyright").is_file():
        parts.append(file.read_text(encoding="utf-8", errors="replace"))
    if (file := folder / "CREDITS.txt.gz").is_file():
        parts.append(gzip.decompress(file.read_bytes()).decode(errors="replace"))
    return "\n".join(parts)
