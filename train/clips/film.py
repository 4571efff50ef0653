"""How a clip is drawn: a ground, what stands on it, and the tracks of all."""

from dataclasses import dataclass, replace
from functools import cached_property

from PIL import Image

from magicvl.train.clips.ground import Ground
from magicvl.train.clips.looks import Look
from magicvl.train.clips.motion import Pose, Track, View


@dataclass(frozen=True, eq=False)
class Player:
    """Something that is drawn."""

    look: Look
    track: Track[Pose]


@dataclass(frozen=True, eq=False)
class Film:
    """Draws frames; the ground is drawn when the first is looked at."""

    width: int
    """In px."""
    height: int
    ground: Ground
    players: tuple[Player, ...]
    """As the clip's subjects are numbered."""
    depth: tuple[int, ...]
    """Their numbers, the hindmost first."""
    camera: Track[View]
    over: int
    """How many times larger a frame is drawn than it is shown, so that edges are soft."""

    def picture(self, seconds: float) -> Image.Image:
        """The frame of a time, RGB."""
        view = self.camera.at(seconds)
        canvas = self._seen_ground(view)
        scale = view.zoom * self.over
        left, top = view.x - self.width / 2 / view.zoom, view.y - self.height / 2 / view.zoom
        for number in self.depth:
            player = self.players[number]
            pose = player.track.at(seconds)
            if pose.shown:
                player.look.paint(
                    canvas, replace(pose, x=(pose.x - left) * scale, y=(pose.y - top) * scale, size=pose.size * scale)
                )
        return canvas.reduce(self.over) if self.over > 1 else canvas

    def _seen_ground(self, view: View) -> Image.Image:
        size = self.width * self.over, self.height * self.over
        if not self.camera.steps:
            return self._still.copy()
        world = self._world
        left = view.x - self.width / 2 / view.zoom + (world.width - self.width) / 2
        top = view.y - self.height / 2 / view.zoom + (world.height - self.height) / 2
        box = (left, top, left + self.width / view.zoom, top + self.height / view.zoom)
        return world.resize(size, Image.Resampling.BILINEAR, box)

    @cached_property
    def _world(self) -> Image.Image:
        """The ground with what lies beyond the edges of the first frame, where the camera moves."""
        share = self.ground.beyond if self.camera.steps else 0.0
        return self.ground.draw((round(self.width * (1 + 2 * share)), round(self.height * (1 + 2 * share))))

    @cached_property
    def _still(self) -> Image.Image:
        size = self.width * self.over, self.height * self.over
        return self._world.resize(size, Image.Resampling.NEAREST)
