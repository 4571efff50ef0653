"""Names of people, places, shops, products and programs, each on one side of the split by its hash.

People and towns are those of the package Faker (MIT), of seven countries; the rest is composed here.
"""

import random
from functools import cache
from importlib import import_module

from magicvl.errors import UsageError
from magicvl.train.generator.dataset import Split
from magicvl.train.generator.words import made_up, those_of, word

_COUNTRIES = ("en_US", "en_GB", "de_DE", "fr_FR", "es_ES", "it_IT", "nl_NL")
_GOODS = """Apples Apricots Avocado Bagels Bananas Basil Beans Beetroot Berries Biscuits Bread Broccoli Butter Cabbage
Candles Carrots Cashews Celery Cereal Cheese Cherries Chicken Chips Cider Cinnamon Cocoa Coconut Coffee Cookies Corn
Crackers Cream Croissant Cucumber Dates Donuts Eggs Envelopes Figs Fish Flour Foil Garlic Ginger Grapes Granola Ham
Hazelnuts Honey Hummus Jam Juice Ketchup Kiwi Lamb Leeks Lemons Lentils Lettuce Limes Mango Matches Melon Milk Mints
Muffins Mushrooms Mustard Napkins Noodles Nuts Oatmeal Oats Olives Onions Oranges Pancakes Paper Pasta Peaches Peanuts
Pears Peas Pens Pepper Pickles Pies Pineapple Pizza Plums Popcorn Potatoes Pretzels Pumpkin Radish Raisins Rice Rolls
Salad Salmon Salsa Salt Sandwich Sausage Shampoo Shrimp Soap Socks Soda Soup Spinach Sponges Steak Sugar Syrup Tape Tea
Toast Tofu Tomatoes Tortillas Towels Trout Tuna Turkey Vanilla Vinegar Waffles Walnuts Water Wraps Yogurt""".split()
_QUALITIES = """Baked Bio Brown Cold Dark Dried Fresh Fried Frozen Garden Gold Green Hot Large Light Local Mild Mini
Organic Plain Pure Red Ripe Roasted Salted Small Smoked Sour Spicy Sweet Warm White Whole Wild""".split()
_SHOPS = "Market Store Shop Cafe Bakery Deli Foods Kitchen Grocers Corner Mart Bistro Books Pharmacy Garden".split()
_STREETS = "Street Road Lane Avenue Way Square Hill Drive Court Row".split()
_PROGRAMS = """Alarm Albums Atlas Bank Books Browser Calculator Calendar Camera Chess Clock Compass Contacts Courses
Diary Drive Editor Files Fitness Flights Friends Gallery Games Groceries Guide Health Home Journal Keyboard Learn
Letters Library Lists Mail Maps Market Measure Meet Memo Menu Messages Money Movies Music News Notes Office Orders Paint
Parking Parcels Phone Photos Piano Podcasts Puzzles Radio Reader Recipes Recorder Reminders Rides Scanner School Search
Settings Share Shop Sketch Sleep Soccer Sounds Sports Stocks Store Studio Tasks Tickets Timer Tools Torch Trains
Translate Travel Tuner Videos Voice Wallet Weather Wiki Workouts Yoga""".split()


@cache
def _people(split: Split) -> tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]:
    """First and last names of each country."""
    try:
        providers = [import_module(f"faker.providers.person.{country}").Provider for country in _COUNTRIES]
    except ModuleNotFoundError as error:
        raise UsageError("names: the package Faker is missing; install magicvl[train]") from error
    return tuple((_short(its.first_names, split), _short(its.last_names, split)) for its in providers)


def _short(names: object, split: Split) -> tuple[str, ...]:
    listed = [str(name) for name in names] if isinstance(names, (dict, list, tuple)) else []
    return those_of((name for name in listed if 3 <= len(name) <= 11 and name.isalpha()), split)


def person(rng: random.Random, split: Split) -> tuple[str, str]:
    """First and last name, both of one country."""
    first, last = rng.choice(_people(split))
    return rng.choice(first), rng.choice(last)


def people(rng: random.Random, split: Split, count: int) -> tuple[str, ...]:
    """As many first names, all different."""
    found: dict[str, None] = {}
    while len(found) < count:
        found[person(rng, split)[0]] = None
    return tuple(found)


@cache
def _towns(split: Split) -> tuple[str, ...]:
    return _short(import_module("faker.providers.address.de_DE").Provider.cities, split)


def town(rng: random.Random, split: Split) -> str:
    """A town: a real one, or one that sounds like it."""
    return rng.choice(_towns(split)) if rng.random() < 0.5 else made_up(rng, split).capitalize()


def street(rng: random.Random, split: Split) -> str:
    """House number and street, such as 14 Cedar Lane."""
    return f"{rng.randint(1, 199)} {word(rng, split, 'noun').capitalize()} {rng.choice(_STREETS)}"


def shop(rng: random.Random, split: Split) -> str:
    """The name of a shop: two words."""
    return f"{word(rng, split).capitalize()} {rng.choice(_SHOPS)}"


@cache
def _products(split: Split) -> tuple[str, ...]:
    return those_of([*_GOODS, *(f"{quality} {good}" for quality in _QUALITIES for good in _GOODS)], split)


def products(rng: random.Random, split: Split, count: int) -> tuple[str, ...]:
    """As many things to buy, none the part of another's name."""
    found: list[str] = []
    while len(found) < count:
        name = rng.choice(_products(split))
        if name.split()[-1] not in {one.split()[-1] for one in found}:
            found.append(name)
    return tuple(found)


@cache
def _apps(split: Split) -> tuple[str, ...]:
    return those_of(_PROGRAMS, split)


def apps(rng: random.Random, split: Split, count: int) -> tuple[str, ...]:
    """As many names of programs, all different: usual ones, and words that could be one."""
    found: dict[str, None] = {}
    while len(found) < count:
        usual = rng.random() < 0.5
        name = rng.choice(_apps(split)) if usual else word(rng, split, "noun").capitalize()
        if len(name) <= 9:
            found[name] = None
    return tuple(found)


def email(rng: random.Random, first: str, last: str, split: Split) -> str:
    """An address at a host that nobody has."""
    host = f"{word(rng, split, 'noun')}.example"
    user = rng.choice((f"{first}.{last}", f"{first[0]}{last}", first, f"{first}{rng.randint(1, 99)}"))
    return f"{user}@{host}".lower()


def telephone(rng: random.Random) -> str:
    """A telephone number as people print it."""
    digits = [rng.randrange(10) for _ in range(11)]
    pattern = rng.choice(("+## ### ### ###", "0## ### ####", "(###) ###-####", "### ### ####", "0#### ######"))
    return "".join(str(digits.pop()) if mark == "#" else mark for mark in pattern)
