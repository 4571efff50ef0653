"""One number: whole, with decimals, a price, a date, a time, a telephone number; digits of other scripts too."""

import random
from collections.abc import Callable

from magicvl.train.generator.asking import ask
from magicvl.train.generator.dataset import Dataset, Drawn, Split
from magicvl.train.generator.faces import PLAIN, Style
from magicvl.train.generator.locales import LOCALES, Locale, in_script
from magicvl.train.generator.names import telephone
from magicvl.train.generator.ocr.single import single

_READ = ("What number is written here?", "Read the number.", "Which number is this?", "What does it say?")
_KINDS: dict[str, tuple[tuple[str, ...], Callable[[random.Random, Locale], str]]] = {
    "number": (_READ, lambda rng, locale: locale.number(rng.randrange(10 ** rng.randint(1, 7)))),
    "code": (_READ, lambda rng, locale: "".join(rng.choices("0123456789", k=rng.randint(3, 10)))),
    "decimal": (_READ, lambda rng, locale: f"{rng.randrange(1000)}{locale.point}{rng.randrange(10)}"),
    "percentage": (
        ("What percentage is shown?", "Read the percentage.", "What does it say?"),
        lambda rng, locale: f"{rng.randrange(101)}%",
    ),
    "price": (
        ("What is the price?", "Read the price.", "How much is it?", "What does it say?"),
        lambda rng, locale: locale.money(rng.randrange(5, 10 ** rng.randint(3, 6))),
    ),
    "date": (
        ("What date is printed here?", "Read the date.", "Which date is this?", "What does it say?"),
        lambda rng, locale: locale.date(rng),
    ),
    "time": (
        ("What time is it?", "Read the time.", "What does it say?"),
        lambda rng, locale: locale.time(rng),
    ),
    "telephone": (
        ("What is the telephone number?", "Read the phone number.", "What does it say?"),
        lambda rng, locale: telephone(rng),
    ),
}


def _draw(rng: random.Random, split: Split) -> Drawn:
    kind = rng.choice(list(_KINDS))
    phrasings, write = _KINDS[kind]
    text = write(rng, rng.choice(LOCALES))
    shot = single(rng, split, text, (*PLAIN, "display"))
    return Drawn((shot.picture,), (ask(rng, phrasings, text, task=kind),), shot.boxes)


_IN_SCRIPT = (
    "What number is written here? Answer with the digits 0 to 9.",
    "Write this number with the digits 0 to 9.",
    "Which number is this? Use the digits 0 to 9.",
)


def _draw_in_script(rng: random.Random, split: Split) -> Drawn:
    script: Style = rng.choice(("arabic", "devanagari"))
    # At least two digits: a zero alone is a dot in one of the scripts.
    number = str(rng.randrange(10, 10 ** rng.randint(2, 6)))
    text = in_script(number, script)
    shot = single(rng, split, text, (script,))
    turn = ask(rng, _IN_SCRIPT, number, task=f"digits/{script}")
    return Drawn((shot.picture,), (turn,), shot.boxes)


DATASETS = (Dataset("number", "ocr", _draw), Dataset("number/script", "ocr", _draw_in_script))
