"""A full page: a title, sections with headings, one or two columns, a page number. The densest print."""

import random
from dataclasses import dataclass

from magicvl.train.generator.asking import ask, in_words, listed, some, where
from magicvl.train.generator.dataset import Dataset, Drawn, Split
from magicvl.train.generator.distort import Shot, shoot
from magicvl.train.generator.faces import Face, mate, pick_face
from magicvl.train.generator.page import Page, wrap
from magicvl.train.generator.themes import Theme, pick_theme, readable
from magicvl.train.generator.words import sentence, several
from magicvl.train.samples.sample import Turn

_TITLE = ("What is the title?", "What is the title of this page?", "Read the title.")
_HEADINGS = ("Which sections are there? List their headings.", "List the headings of the sections.")
_COUNT = ("How many sections does the page have?", "How many sections are there?")
_FIRST = ('Read the first line under "{heading}".', 'What does the first line of the section "{heading}" say?')
_ALL = ('Read the section "{heading}".', 'What does the section "{heading}" say?')
_NUMBER = ("What is the page number?", "Which page is this?")


@dataclass(frozen=True)
class _Section:
    heading: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class _Article:
    title: str
    sections: tuple[_Section, ...]
    number: int


def _draw(rng: random.Random, split: Split) -> Drawn:
    article, page = _set(rng, split)
    shot = shoot(rng, page)
    return Drawn((shot.picture,), some(rng, _turns(rng, article, shot), 4), shot.boxes)


def _set(rng: random.Random, split: Split) -> tuple[_Article, Page]:
    """Writes the article and lays it out in columns, section after section."""
    theme, face = pick_theme(rng, 0.15), pick_face(rng, split, ("sans", "serif"), bold=False)
    size, columns = rng.choice((13, 14, 15, 16)), rng.choice((1, 1, 2))
    margin = rng.randint(20, 44)
    across = round(size * rng.uniform(16, 26)) if columns == 2 else round(size * rng.uniform(22, 38))
    title, *headings = (text.capitalize() for text in _phrases(rng, split, rng.randint(3, 2 + 2 * columns)))
    texts = [" ".join(sentence(rng, split) for _ in range(rng.randint(2, 5))) for _ in headings]
    font = face.at(size)
    sections = tuple(
        _Section(heading, tuple(wrap(text, font, across))) for heading, text in zip(headings, texts, strict=True)
    )
    article = _Article(title, sections, rng.randint(2, 400))
    page = Page(
        margin * (columns + 1) + across * columns,
        _height(article, size, _step(face, size), columns, margin),
        theme.ground,
    )
    _print(page, article, theme, face, size, columns, margin, across)
    return article, page


def _phrases(rng: random.Random, split: Split, count: int) -> list[str]:
    words = iter(several(rng, split, 2 * count))
    return [f"{first} and {second}" for first, second in zip(words, words, strict=True)]


def _step(face: Face, size: int) -> int:
    """From one line of running text to the next, in px."""
    return round(face.at(size).height * 1.1)


def _height(article: _Article, size: int, step: int, columns: int, margin: int) -> int:
    heights = [_section_height(section, size, step) for section in article.sections]
    half = -(-len(heights) // columns)
    tallest = max(sum(heights[start : start + half]) for start in range(0, len(heights), half))
    return 2 * margin + 4 * size + tallest + 2 * size


def _section_height(section: _Section, size: int, step: int) -> int:
    return 3 * size + len(section.lines) * step


def _print(
    page: Page, article: _Article, theme: Theme, face: Face, size: int, columns: int, margin: int, across: int
) -> None:
    bold, plain, step = mate(face, bold=True), face.at(size), _step(face, size)
    page.write(margin, margin, article.title, bold.at(size * 1.6), readable(theme.accent, theme.ground))
    half = -(-len(article.sections) // columns)
    for column in range(columns):
        x, y = margin + column * (across + margin), margin + 4 * size
        for section in article.sections[column * half : (column + 1) * half]:
            page.write(x, y, section.heading, bold.at(size * 1.2), theme.ink)
            for number, line in enumerate(section.lines):
                page.write(x, y + 1.9 * size + number * step, line, plain, theme.ink)
            y += _section_height(section, size, step)
    width, height = page.size
    page.write(width / 2, height - margin / 2, str(article.number), plain, theme.muted, "md")


def _turns(rng: random.Random, article: _Article, shot: Shot) -> tuple[Turn, ...]:
    section = rng.choice(article.sections)
    headings = [one.heading for one in article.sections]
    box = next(box for box in shot.boxes if box.label == section.heading)
    return (
        ask(rng, _TITLE, article.title, "anls", "title"),
        ask(rng, _HEADINGS, listed(headings), "anls", "headings"),
        ask(rng, _COUNT, len(headings), task="count sections", others=[in_words(len(headings))]),
        ask(rng, _FIRST, section.lines[0], "cer", "line of many", heading=section.heading),
        ask(rng, _ALL, " ".join(section.lines), "cer", "section", heading=section.heading),
        ask(rng, _NUMBER, article.number, task="page number"),
        where(rng, f'the heading "{section.heading}"', box, shot.size, "heading"),
    )


DATASETS = (Dataset("article", "ocr", _draw),)
