"""Settings: switches that are on or off, values; long ones over several screens."""

import random
from dataclasses import dataclass
from functools import partial

from magicvl.train.generator.asking import ask, in_words, listed, some, where
from magicvl.train.generator.dataset import Dataset, Drawn, Split
from magicvl.train.generator.distort import Shot
from magicvl.train.generator.gui.look import (
    COUNTABLE,
    Look,
    blank,
    common_turns,
    found,
    pick_look,
    screenshot,
    status_bar,
    title_bar,
    toggle,
)
from magicvl.train.generator.page import Page
from magicvl.train.generator.words import several, those_of, word
from magicvl.train.samples.sample import Turn

_ON = ('Is "{name}" on or off?', 'Is the switch "{name}" on or off?', "{name}: on or off?")
_VALUE = ('What is "{name}" set to?', 'Which value does "{name}" have?')
_ALL_ON = ("Which switches are on?", "What is switched on?")
_HOW_MANY = ("How many switches are on?", "How many settings are switched on?")
_NAMES = """Wi-Fi|Bluetooth|Airplane mode|Mobile data|Hotspot|Location|Dark mode|Night light|Auto-rotate
Vibration|Sounds|Notifications|Backup|Roaming|NFC|Battery saver|Sync|Updates|Screen lock|Subtitles
Large text|Do not disturb|Autofill|Developer mode|Tips|Voice input|Power saving|Cloud copy
Face unlock|Fingerprint|Widgets|Gestures|Haptics|Data saver|Private mode|Guest access|Quick reply
Read aloud|Zoom|Flash alerts|Auto lock|Car mode|Sleep mode|Game mode|Live captions|Smart reply
Spell check|Key tones|Screen saver|Nearby share|Printing|Casting|Keyboard|Emergency|Safe search
Cookies|Pop-ups|Screen time|Focus|Downloads|Caller name|Voicemail|Time zone|Compass|Camera grid
Flashlight"""
_VALUED: dict[str, tuple[str, ...]] = {
    "Brightness": tuple(f"{percent}%" for percent in range(5, 101, 5)),
    "Volume": tuple(f"{percent}%" for percent in range(0, 100, 4)),
    "Language": ("English", "Deutsch", "Français", "Español", "Italiano", "Português", "Nederlands", "Polski"),
    "Font size": ("Small", "Medium", "Large", "Huge"),
    "Ringtone": ("Bells", "Waves", "Guitar", "Marimba", "Breeze", "Drops"),
    "Screen timeout": ("15 s", "30 s", "1 min", "2 min", "5 min", "10 min"),
    "Region": ("Austria", "Brazil", "Canada", "France", "Germany", "Italy", "Mexico", "Spain", "Sweden"),
    "Storage": tuple(f"{size} GB" for size in range(3, 128, 7)),
    "Theme": ("Light", "Dark", "System", "Paper"),
    "Temperature": ("Celsius", "Fahrenheit"),
    "Version": tuple(f"{major}.{minor}" for major in range(2, 16) for minor in range(0, 8, 3)),
}


@dataclass(frozen=True)
class Setting:
    """A switch, or a name with its value."""

    name: str
    state: bool | str


@dataclass(frozen=True)
class Settings:
    """What the screen says."""

    title: str
    rows: tuple[Setting, ...]


def _settings(rng: random.Random, split: Split, count: int) -> Settings:
    usual = those_of(_NAMES.replace("\n", "|").split("|"), split)
    values = rng.sample(list(_VALUED), min(len(_VALUED), count // 3))
    switches = rng.sample(usual, min(len(usual), (count - len(values)) * 2 // 3))
    names = dict.fromkeys(one.capitalize() for one in several(rng, split, count))
    invented = [name for name in names if name not in _VALUED and name not in switches]
    rows = [Setting(name, rng.choice(_VALUED[name])) for name in values]
    rows += [Setting(name, rng.random() < 0.5) for name in [*switches, *invented][: count - len(values)]]
    rng.shuffle(rows)
    return Settings(
        rng.choice(("Settings", "Options", f"{word(rng, split, 'noun').capitalize()} settings")), tuple(rows)
    )


def _print(rng: random.Random, look: Look, what: Settings) -> Page:
    height, right = look.px(rng.uniform(40, 54)), look.width - look.px(16)
    page = blank(look, round(look.px(78) + height * len(what.rows)))
    top = title_bar(page, look, status_bar(page, look), what.title)
    for number, row in enumerate(what.rows):
        y = top + number * height
        middle = y + height / 2
        page.write(look.px(16), middle, row.name, look.font(15), look.theme.ink, "lm")
        if isinstance(row.state, bool):
            page.mark(f"switch {row.name}", toggle(page, look, right, middle, row.state))
        else:
            page.write(right, middle, row.state, look.font(14), look.theme.muted, "rm")
        page.mark(f"row {row.name}", (0, y, look.width, y + height))
        page.rule(look.px(16), y + height - 1, look.width, y + height - 1, look.theme.line)
    return page


def _turns(rng: random.Random, what: Settings, shot: Shot) -> list[Turn]:
    switches = [row for row in what.rows if isinstance(row.state, bool)]
    valued = [row for row in what.rows if not isinstance(row.state, bool)]
    on = [row.name for row in switches if row.state]
    turns = []
    if len(switches) <= COUNTABLE:
        turns.append(ask(rng, _HOW_MANY, len(on), task="count on", others=[in_words(len(on))]))
    for row in rng.sample(switches, min(2, len(switches))):
        turns.append(ask(rng, _ON, "on" if row.state else "off", task="on or off", name=row.name))
        # On a long screenshot a switch is but a few thousandths high.
        part = "switch" if shot.size[1] < 3 * shot.size[0] else "row"
        turns.append(where(rng, f'the {part} "{row.name}"', found(shot, f"{part} {row.name}"), shot.size, part))
    turns += [ask(rng, _VALUE, row.state, "anls", "value", name=row.name) for row in valued[:2]]
    if 0 < len(on) <= 5:
        turns.append(ask(rng, _ALL_ON, listed(on), "anls", "all on"))
    return turns


def _draw(rng: random.Random, split: Split, screens: tuple[float, float]) -> Drawn:
    look = pick_look(rng, split)
    what = _settings(rng, split, max(2, int(rng.uniform(*screens) * look.height / look.px(47)) - 1))
    shot = screenshot(rng, _print(rng, look, what))
    turns = [*_turns(rng, what, shot), *rng.sample(common_turns(rng, look, what.title), 1)]
    return Drawn((shot.picture,), some(rng, turns, 4), shot.boxes)


DATASETS = (
    Dataset("screen/settings", "gui", partial(_draw, screens=(0.2, 0.9))),
    Dataset("long/settings", "gui", partial(_draw, screens=(3.8, 7.0))),
)
