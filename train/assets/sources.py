"""Where drawings come from: each set's files with what they are called, as its package has them."""

import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from xml.etree import ElementTree

from magicvl.train.assets.catalogue import ThingSet

_STAMPS = "usr/share/tuxpaint/stamps"
_OPENCLIPART = "usr/share/openclipart/svg"
_FLASHCARDS = "usr/share/games/pysiogame/res/images/art4apps"
_COSTUMES = "usr/share/scratch/Media/Costumes"
_EMOJI_FONT = "usr/share/fonts/truetype/noto/NotoColorEmoji.ttf"
_ANNOTATIONS = "usr/share/unicode/cldr/common/annotations"
_LEFT_OUT: dict[str, list[str]] = tomllib.loads((Path(__file__).parent / "left_out.toml").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Found:
    """A file, or a character, and what is said of it."""

    set: ThingSet
    source: str
    """Its name in its package."""
    file: Path
    """The picture, or the font."""
    titles: tuple[str, ...]
    """What it is called, the most trusted first."""
    keywords: tuple[str, ...] = ()
    """What else is said of it; empty where the titles are enough."""
    character: str | None = None
    """Of a font."""


def find_stamps(root: Path) -> Iterator[Found]:
    """Stamps by their English captions, then by their files' names."""
    for name, text in _files(root / _STAMPS, "stamps", (".txt",)):
        pictures = [text.with_suffix(suffix) for suffix in (".svg", ".png") if text.with_suffix(suffix).is_file()]
        if pictures:
            caption = text.read_text(encoding="utf-8", errors="replace").partition("\n")[0]
            yield Found("stamps", name, pictures[0], (caption, text.stem))


def find_openclipart(root: Path) -> Iterator[Found]:
    """Drawings by their titles and files' names, with keywords and folders to check them by."""
    for name, file in _files(root / _OPENCLIPART, "openclipart", (".svg",)):
        title, keywords = _metadata(file.read_text(encoding="utf-8", errors="replace"))
        folders = tuple(part for part in name.split("/")[:-1] if part != "unsorted")
        yield Found("openclipart", name, file, (title, _unsigned(file.stem)), (*keywords, *folders))


def find_flashcards(root: Path) -> Iterator[Found]:
    """Flashcards by their files' names."""
    for name, file in _files(root / _FLASHCARDS, "flashcards", (".jpg",)):
        yield Found("flashcards", name, file, (file.stem,))


def find_costumes(root: Path) -> Iterator[Found]:
    """Costumes by their files' names, without what numbers them or says how they stand."""
    for name, file in _files(root / _COSTUMES, "costumes", (".png", ".gif")):
        stem = re.sub(r"[-_].*$" if name.startswith("Animals/") else r"-[a-d]$", "", file.stem)
        yield Found("costumes", name, file, (re.sub(r"(?<=[a-z])\d.*$", "", stem),))


def _files(folder: Path, kind: ThingSet, suffixes: tuple[str, ...]) -> Iterator[tuple[str, Path]]:
    """Every file and its name within the folder, without its suffix; not those that are left out."""
    for file in sorted(folder.rglob("*")):
        name = file.relative_to(folder).with_suffix("").as_posix()
        if file.suffix in suffixes and not any(fnmatchcase(name, pattern) for pattern in _LEFT_OUT[kind]):
            yield name, file


def find_emoji(font_root: Path, names_root: Path) -> Iterator[Found]:
    """Emoji by their CLDR names."""
    for character, said in _emoji_titles(names_root, "en").items():
        if said.endswith(("button", ")")):
            continue  # "B button (blood type)" is a sign
        title = said.removesuffix(" face").removeprefix("woman\u2019s ").removeprefix("man\u2019s ")
        yield Found("emoji", character, font_root / _EMOJI_FONT, (title,), character=character)


def emoji_words(root: Path, languages: Iterable[str] = ("it", "fr")) -> dict[str, str]:
    """What emoji are called in other languages, in English: mela rossa -> red apple. Some titles are not English."""
    english = _emoji_titles(root, "en")
    found = {}
    for language in languages:
        for character, title in _emoji_titles(root, language).items():
            if character in english:
                found[title.lower()] = english[character]
                # "muso di tigre" is that of a tigre.
                found.setdefault(re.sub(r"^\w+ (di |da |de |d\u2019)", "", title.lower()), english[character])
    return found


def _emoji_titles(root: Path, language: str) -> dict[str, str]:
    tree = ElementTree.parse(root / _ANNOTATIONS / f"{language}.xml")
    spoken = (entry for entry in tree.iter("annotation") if entry.get("type") == "tts")
    titles = {entry.get("cp", "").rstrip("\ufe0f"): entry.text or "" for entry in spoken}
    return {character: title for character, title in titles.items() if len(character) == 1 and ord(character) > 0x2300}


def _metadata(text: str) -> tuple[str, tuple[str, ...]]:
    """Title and keywords of a drawing; read by pattern, since many are no well-formed XML."""
    title = re.search(r"<cc:Work.*?<dc:title>(.*?)</dc:title>", text, re.DOTALL)
    bag = re.search(r"<rdf:Bag>(.*?)</rdf:Bag>", text, re.DOTALL)
    keywords = re.findall(r"<rdf:li>(.*?)</rdf:li>", bag[1], re.DOTALL) if bag else []
    return (title[1].strip() if title else ""), tuple(word.strip().lower() for word in keywords)


def _unsigned(stem: str) -> str:
    """A file's name without its author's and without its number: apple_gerald_g._01 is apple."""
    return re.sub(r"(_[a-z]+_[a-z]{1,2}\._?|_[a-z.]+_[a-z.]*)?_?\d\d?$|_bw$|_ganson$", "", stem)
