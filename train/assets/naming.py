"""Every drawing's name: each set read by its own rules, then one name for one meaning."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from magicvl.train.assets import packages, sources
from magicvl.train.assets.catalogue import KEPT_APART
from magicvl.train.assets.names import Named, find_name, phrase_of
from magicvl.train.assets.nouns import Nouns, read_nouns
from magicvl.train.assets.sources import Found

_COLLECTION = 7
"""Drawings that may share a title."""


@dataclass(frozen=True)
class Called:
    """A drawing and its name."""

    found: Found
    named: Named


def name_all(roots: Mapping[str, Path]) -> tuple[list[Called], Nouns]:
    """All drawings of the unpacked packages that have a name, those kept apart only where others share it."""
    nouns = read_nouns(roots[packages.WORDNET.name])
    names_root = roots[packages.EMOJI_NAMES.name]
    named_alone = (
        (packages.STAMPS, sources.find_stamps),
        (packages.FLASHCARDS, sources.find_flashcards),
        (packages.COSTUMES, sources.find_costumes),
    )
    sure = [
        called
        for package, find in named_alone
        if package.name in roots
        for called in _captioned(nouns, find(roots[package.name]))
    ]
    emoji = list(_whole(nouns, sources.find_emoji(roots[packages.EMOJI.name], names_root)))
    trusted = {called.named.noun for called in (*sure, *emoji)}
    abroad = sources.emoji_words(names_root)
    drawings = _without_collections(list(sources.find_openclipart(roots[packages.OPENCLIPART.name])))
    checked = list(_checked(nouns, drawings, trusted, abroad))
    called = _one_name_each(nouns, [*sure, *checked, *emoji])
    trained = {each.named.noun for each in called if each.found.set != KEPT_APART}
    return [each for each in called if each.named.noun in trained], nouns


def _without_collections(found: list[Found]) -> list[Found]:
    """A title that many drawings share is that of their collection; what is left is the file's name."""
    counts = Counter(each.titles[0] for each in found)
    return [each if counts[each.titles[0]] <= _COLLECTION else replace(each, titles=each.titles[1:]) for each in found]


def _captioned(nouns: Nouns, found: Iterable[Found]) -> Iterable[Called]:
    """By the first title that holds a noun: these titles are about what is shown and nothing else."""
    for each in found:
        names = (find_name(nouns, title, depth=3) for title in each.titles)
        if named := next((name for name in names if name), None):
            yield Called(each, named)


def _whole(nouns: Nouns, found: Iterable[Found]) -> Iterable[Called]:
    """Where the whole title is the noun: a clutch bag is a bag, yet a person in bed is no bed."""
    for each in found:
        named = find_name(nouns, each.titles[0], depth=3)
        if named and len(phrase_of(each.titles[0]).split()) == len(named.noun.replace("-", " ").split()):
            yield Called(each, named)


def _checked(nouns: Nouns, found: Iterable[Found], trusted: set[str], abroad: Mapping[str, str]) -> Iterable[Called]:
    """By a noun that the keywords say too, or that another set has: these titles are anything."""
    for each in found:
        keywords = _singulars(nouns, each.keywords)
        for named in _candidates(nouns, each, abroad):
            above = {word for offset in _chain(nouns, named) for word in nouns.senses[offset].words}
            whole = named.noun == each.titles[0].lower()
            if named.noun in keywords or named.noun in trusted or (whole and above & keywords):
                yield Called(each, named)
                break


def _candidates(nouns: Nouns, found: Found, abroad: Mapping[str, str]) -> list[Named]:
    titles = found.titles
    translated = [abroad[phrase] for phrase in map(phrase_of, titles) if phrase in abroad]
    names = [find_name(nouns, title, depth=2) for title in (*titles, *translated)]
    # "Apple Bitten": the noun stands before what is said of it.
    names += [find_name(nouns, " ".join(phrase_of(title).split()[:1]), depth=1) for title in titles]
    return [named for named in names if named]


def _singulars(nouns: Nouns, keywords: Iterable[str]) -> set[str]:
    words = {word for keyword in keywords for word in (keyword.replace("_", " "), *keyword.replace("_", " ").split())}
    return {nouns.singular(word) or word for word in words}


def _chain(nouns: Nouns, named: Named) -> frozenset[int]:
    return nouns.chain(named.sense) if named.sense is not None else frozenset()


def _one_name_each(nouns: Nouns, called: list[Called]) -> list[Called]:
    """Rare compounds by their last word where they are a kind of that; then one word for each meaning."""
    trained = [each for each in called if each.found.set != KEPT_APART]
    counts = Counter(each.named.noun for each in trained)
    rolled = [replace(each, named=_rolled(nouns, each.named, counts)) for each in called]
    by_sense: dict[int, Counter[str]] = defaultdict(Counter)
    for each in rolled:
        if each.named.sense is not None:
            by_sense[each.named.sense][each.named.noun] += 1 + 3 * (each.found.set != KEPT_APART)
    usual = {sense: words.most_common(1)[0][0] for sense, words in by_sense.items()}
    return [
        replace(each, named=Named(usual.get(each.named.sense, each.named.noun), each.named.sense))
        if each.named.sense is not None else each
        for each in rolled
    ]  # fmt: skip


def _rolled(nouns: Nouns, named: Named, counts: Mapping[str, int]) -> Named:
    """Acoustic guitar, of which there is one, is a guitar; sea lion is no lion."""
    _, _, last = named.noun.rpartition(" ")
    if last == named.noun or counts[named.noun] >= 3 or counts[last] == 0:
        return named
    senses = set(nouns.things(last)) & _chain(nouns, named)
    return Named(last, nouns.sense(last, depth=3)) if senses and nouns.sense(last, depth=3) in senses else named
