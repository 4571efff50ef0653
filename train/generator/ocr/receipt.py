"""Receipts: short and long ones, what stands on them, and sums that must be reckoned."""

import random
from dataclasses import dataclass
from functools import partial

from magicvl.train.generator.asking import ask, in_words, listed, some, spoken, where
from magicvl.train.generator.dataset import Dataset, Drawn, Split
from magicvl.train.generator.distort import Camera, Shot, shoot
from magicvl.train.generator.faces import mate, pick_face
from magicvl.train.generator.locales import LOCALES, Locale
from magicvl.train.generator.names import products, shop, street, town
from magicvl.train.generator.page import Page
from magicvl.train.generator.themes import BLACK, Rgb, mix, shade
from magicvl.train.samples.sample import Turn

_TOTAL = (
    "What is the total?",
    "How much is the total?",
    "What is the total on the receipt?",
    "How much was it in all?",
)
_PRICE = ("What does {item} cost?", "What is the price of {item}?", "How much is {item}?")
_COUNT = ("How many different items are on the receipt?", "How many kinds of items were bought?")
_DATE = ("What is the date on the receipt?", "When was it bought? Give the date.", "Which date is printed?")
_TIME = ("At what time was it bought?", "What time is printed on the receipt?")
_SHOP = ("What is the name of the shop?", "Which shop is the receipt from?", "Where was it bought?")
_PIECES = ("How many {item} were bought?", "How many pieces of {item} are on the receipt?")
_CHANGE = ("How much change was given?", "What is the change?")
_PAID = ("How much was paid in cash?", "How much cash was given?")
_DEAREST = ("Which line of the receipt has the highest price?", "Which item has the largest amount beside it?")
_ITEMS = ("List the items.", "Which items are on the receipt?", "What was bought? List the items.")
_TOGETHER = ("How much do {item} and {other} cost together?", "What is the sum of the prices of {item} and {other}?")
_DIFFERENCE = ("How much more does {item} cost than {other}?", "By how much is {item} dearer than {other}?")
_WITHOUT = ("What would the total be without {item}?", "How much would it be in all without {item}?")
_DESCRIBE = ("Describe the picture.", "What is this?", "Write a short caption.")
_PHOTO = Camera(photograph=0.3, light=0.4, blur=0.08, noise=0.3, jpeg=0.12)


@dataclass(frozen=True)
class Item:
    """One line of a receipt."""

    name: str
    pieces: int
    cents: int
    """For all the pieces."""


@dataclass(frozen=True)
class Receipt:
    """What a receipt says."""

    shop: str
    place: str
    date: str
    time: str
    items: tuple[Item, ...]
    cash: int | None
    """Cents that were given; None where it was paid by card."""
    locale: Locale

    @property
    def total(self) -> int:
        """In cents."""
        return sum(item.cents for item in self.items)


def receipt(rng: random.Random, split: Split, fewest: int, most: int) -> Receipt:
    """A receipt with so many lines, no two of the same price."""
    locale = rng.choice(LOCALES)
    names = products(rng, split, rng.randint(fewest, most))
    pieces = [rng.choice((1, 1, 1, 2, 3)) for _ in names]
    prices = rng.sample(range(45, rng.choice((600, 2500))), len(names))
    items = tuple(Item(*one) for one in zip(names, pieces, prices, strict=True))
    total = sum(prices)
    cash = -(-total // 500) * 500 + rng.choice((0, 500, 1000)) if rng.random() < 0.4 else None
    if cash == total:
        cash += 1000
    place = f"{street(rng, split)}, {town(rng, split)}"
    return Receipt(shop(rng, split), place, locale.date(rng), locale.time(rng), items, cash, locale)


def print_receipt(rng: random.Random, split: Split, what: Receipt) -> Page:
    """The paper: head, items with prices on the right, total."""
    face = pick_face(rng, split, ("mono", "sans", "sans", "serif"), bold=False)
    size = rng.choice((13, 14, 15, 16, 18))
    plain, bold = face.at(size), mate(face, bold=True).at(size + rng.choice((0, 2, 4)))
    paper, rows = _paper(rng), _rows(rng, what)
    ink = mix(BLACK, paper, rng.uniform(0, 0.3))
    widest = max(bold.width(left) + bold.width(right) for left, right, _ in rows)
    margin = rng.randint(10, 26)
    width = round(widest + 2.5 * size + 2 * margin)
    step = round(plain.height * rng.uniform(1.05, 1.35))
    page = Page(width, step * (len(rows) + 1) + 2 * margin, paper)
    # Dashed rules are kept for testing.
    dash = plain.size if split != "train" and rng.random() < 0.5 else width
    for number, (left, right, strong) in enumerate(rows):
        font, y = bold if strong else plain, margin + number * step
        if not left:
            for x in range(margin, width - margin, dash):
                right_end = min(x + dash - plain.size // 2, width - margin)
                page.rule(x, y + step / 2, right_end, y + step / 2, mix(ink, paper, 0.4))
        elif right:
            page.write(margin, y, left, font, ink)
            page.write(width - margin, y, right, font, ink, "ra")
        else:
            page.write(width / 2, y, left, font, ink, "ma")
    return page


_Row = tuple[str, str, bool]


def _rows(rng: random.Random, what: Receipt) -> list[_Row]:
    """Left, right, and whether it is in bold; a rule where both are empty."""
    money = what.locale.money if rng.random() < 0.5 else what.locale.amount
    rows: list[_Row] = [(what.shop, "", True), (what.place, "", False), (what.date, what.time, False), ("", "", False)]
    rows += [(_left(item), money(item.cents), False) for item in what.items]
    rows += [("", "", False), (rng.choice(("TOTAL", "Total", "Sum")), what.locale.money(what.total), True)]
    if what.cash is not None:
        rows += [("Cash", money(what.cash), False), ("Change", money(what.cash - what.total), False)]
    elif rng.random() < 0.5:
        rows.append(("Card", money(what.total), False))
    if rng.random() < 0.5:
        rows += [("", "", False), (rng.choice(("Thank you!", "See you soon", "Goodbye!")), "", False)]
    return rows


def _left(item: Item) -> str:
    return item.name if item.pieces == 1 else f"{item.pieces} x {item.name}"


def _paper(rng: random.Random) -> Rgb:
    return shade(rng.random(), rng.uniform(0, 0.2), rng.uniform(0.9, 1))


def _money(rng: random.Random, phrasings: tuple[str, ...], what: Receipt, cents: int, task: str, **names: str) -> Turn:
    """An amount, answered with its currency; without it is right too."""
    amount = what.locale.amount(cents)
    return ask(rng, phrasings, what.locale.money(cents), "exact", task, [amount], **names)


def _turns(rng: random.Random, what: Receipt) -> list[Turn]:
    single = [item for item in what.items if item.pieces == 1]
    more = [item for item in what.items if item.pieces > 1]
    dearest = max(what.items, key=lambda item: item.cents)
    turns = [
        _money(rng, _TOTAL, what, what.total, "total"),
        ask(rng, _COUNT, len(what.items), task="count items", others=[in_words(len(what.items))]),
        ask(rng, _DATE, what.date, task="date"),
        ask(rng, _TIME, what.time, task="time"),
        ask(rng, _SHOP, what.shop, "anls", "shop"),
        ask(rng, _DEAREST, dearest.name, "anls", "highest", [_left(dearest)]),
        ask(rng, _ITEMS, listed([item.name for item in what.items]), "anls", "list items"),
    ]
    turns += [_money(rng, _PRICE, what, item.cents, "price", item=item.name) for item in single[:3]]
    turns += [ask(rng, _PIECES, item.pieces, task="pieces", item=item.name) for item in more[:1]]
    if what.cash is not None:
        turns.append(_money(rng, _CHANGE, what, what.cash - what.total, "change"))
        turns.append(_money(rng, _PAID, what, what.cash, "cash"))
    return turns


def _sums(rng: random.Random, what: Receipt) -> list[Turn]:
    """What stands nowhere and must be reckoned; of single pieces alone."""
    single = [item for item in what.items if item.pieces == 1]
    turns = [_money(rng, _WITHOUT, what, what.total - single[0].cents, "total without", item=single[0].name)]
    if len(single) > 1:
        dear, cheap = sorted(single[:2], key=lambda item: -item.cents)
        names = {"item": dear.name, "other": cheap.name}
        turns.append(_money(rng, _TOGETHER, what, dear.cents + cheap.cents, "sum", **names))
        turns.append(_money(rng, _DIFFERENCE, what, dear.cents - cheap.cents, "difference", **names))
    return turns


def _draw(rng: random.Random, split: Split, fewest: int, most: int) -> Drawn:
    what = receipt(rng, split, fewest, most)
    shot = shoot(rng, print_receipt(rng, split, what), _PHOTO)
    turns = [*_turns(rng, what), *_places(rng, what, shot)]
    return Drawn((shot.picture,), some(rng, turns, 4), shot.boxes)


def _places(rng: random.Random, what: Receipt, shot: Shot) -> list[Turn]:
    item = rng.choice(what.items)
    box = next(box for box in shot.boxes if box.label == _left(item))
    return [where(rng, f'the text "{_left(item)}"', box, shot.size, "text")]


def _reckon(rng: random.Random, split: Split) -> Drawn:
    while True:
        what = receipt(rng, split, 2, 5)
        if any(item.pieces == 1 for item in what.items):
            break
    shot = shoot(rng, print_receipt(rng, split, what), _PHOTO)
    return Drawn((shot.picture,), some(rng, _sums(rng, what), 2), shot.boxes)


def _caption(rng: random.Random, split: Split) -> Drawn:
    what = receipt(rng, split, 2, 5)
    shot = shoot(rng, print_receipt(rng, split, what), _PHOTO)
    names, total = spoken([item.name for item in what.items]), what.locale.money(what.total)
    text = f"A receipt from {what.shop} with {in_words(len(what.items))} items: {names}. The total is {total}."
    return Drawn((shot.picture,), (ask(rng, _DESCRIBE, text, "f1", "caption"),), shot.boxes)


DATASETS = (
    Dataset("receipt", "ocr", partial(_draw, fewest=2, most=5)),
    Dataset("receipt/long", "ocr", partial(_draw, fewest=9, most=20)),
    Dataset("receipt/sums", "reasoning", _reckon),
    Dataset("caption/receipt", "caption", _caption),
)
