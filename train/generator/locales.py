"""How languages and countries write numbers, prices, dates and times."""

import random
from dataclasses import dataclass


@dataclass(frozen=True)
class Locale:
    """The habits of one language in one country."""

    name: str
    group: str
    """Between thousands."""
    point: str
    """Before the decimals."""
    price: str
    """Where the amount stands beside its currency."""
    dates: tuple[str, ...]
    """Patterns of day, month, its name and year."""
    months: tuple[str, ...]
    afternoon: bool = False
    """Whether hours are counted to twelve."""

    def number(self, value: int) -> str:
        """A whole number with its thousands apart."""
        return f"{value:,}".replace(",", self.group)

    def amount(self, cents: int) -> str:
        """Hundredths, with two decimals."""
        return f"{self.number(cents // 100)}{self.point}{cents % 100:02d}"

    def money(self, cents: int) -> str:
        """A price with its currency."""
        return self.price.format(self.amount(cents))

    def date(self, rng: random.Random) -> str:
        """Some day of 1995 to 2039 that every calendar has."""
        day, month, year = rng.randint(1, 28), rng.randint(1, 12), rng.randint(1995, 2039)
        return rng.choice(self.dates).format(day=day, month=month, name=self.months[month - 1], year=year)

    def time(self, rng: random.Random) -> str:
        """Some time of the day."""
        hour, minute = rng.randrange(24), rng.randrange(60)
        if self.afternoon and rng.random() < 0.6:
            return f"{(hour + 11) % 12 + 1}:{minute:02d} {'AM' if hour < 12 else 'PM'}"
        return f"{hour}:{minute:02d}" if self.afternoon else f"{hour:02d}:{minute:02d}"


_ENGLISH = tuple("January February March April May June July August September October November December".split())
_SHORT = tuple(name[:3] for name in _ENGLISH)
LOCALES = (
    Locale("en_US", ",", ".", "${}", ("{month}/{day}/{year}", "{name} {day}, {year}"), _ENGLISH, True),
    Locale("en_US", ",", ".", "${}", ("{name} {day}, {year}", "{month:02d}/{day:02d}/{year}"), _SHORT, True),
    Locale("en_GB", ",", ".", "£{}", ("{day} {name} {year}", "{day:02d}/{month:02d}/{year}"), _ENGLISH),
    Locale("en_IE", ",", ".", "€{}", ("{day} {name} {year}", "{year}-{month:02d}-{day:02d}"), _SHORT),
    Locale("de_DE", ".", ",", "{} €", ("{day}. {name} {year}", "{day:02d}.{month:02d}.{year}"), tuple(
        "Januar Februar März April Mai Juni Juli August September Oktober November Dezember".split())),
    Locale("fr_FR", " ", ",", "{} €", ("{day} {name} {year}", "{day:02d}/{month:02d}/{year}"), tuple(
        "janvier février mars avril mai juin juillet août septembre octobre novembre décembre".split())),
    Locale("es_ES", ".", ",", "{} €", ("{day} de {name} de {year}", "{day}/{month}/{year}"), tuple(
        "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre".split())),
    Locale("it_IT", ".", ",", "{} €", ("{day} {name} {year}", "{day:02d}/{month:02d}/{year}"), tuple(
        "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre".split())),
    Locale("pt_BR", ".", ",", "R$ {}", ("{day} de {name} de {year}", "{day:02d}/{month:02d}/{year}"), tuple(
        "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro".split())),
    Locale("nl_NL", ".", ",", "€ {}", ("{day} {name} {year}", "{day:02d}-{month:02d}-{year}"), tuple(
        "januari februari maart april mei juni juli augustus september oktober november december".split())),
)  # fmt: skip
"""English ones more than once, since most other words are English."""
ENGLISH = LOCALES[:4]
SCRIPT_DIGITS = {"arabic": "٠١٢٣٤٥٦٧٨٩", "devanagari": "०१२३४५६७८९"}
"""Digits from zero to nine of the scripts whose fonts faces.py names."""


def in_script(number: str, script: str) -> str:
    """The number with the digits of another script."""
    return number.translate(str.maketrans("0123456789", SCRIPT_DIGITS[script]))
