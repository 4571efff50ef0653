"""What actors and the camera can do, a rule each: it proposes an event for a stage, or None where there is no room.

Whether the event can be seen clearly is for the stage to say.
"""

import random
from collections.abc import Callable, Mapping

from magicvl.train.clips.stage import Act, Stage
from magicvl.train.clips.verbs.camera import pan, zoom_in, zoom_out
from magicvl.train.clips.verbs.changing import grow, shrink, turn
from magicvl.train.clips.verbs.edges import enter, leave
from magicvl.train.clips.verbs.hiding import appear, hide
from magicvl.train.clips.verbs.moving import jump, move, spin
from magicvl.train.clips.verbs.together import follow, meet

Rule = Callable[[random.Random, Stage], tuple[Act, ...] | None]
ALONE: Mapping[str, Rule] = {
    "move": move, "jump": jump, "spin": spin, "grow": grow, "shrink": shrink, "turn": turn, "enter": enter,
    "leave": leave,
}  # fmt: skip
"""Those of one actor: two of them may happen at once."""
RULES: Mapping[str, Rule] = {
    **ALONE, "meet": meet, "follow": follow, "hide": hide, "appear": appear, "pan": pan,
    "zoom_in": zoom_in, "zoom_out": zoom_out,
}  # fmt: skip
