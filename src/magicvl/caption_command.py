"""`magicvl caption`: what stands between the command line and magicvl.edge.video."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from magicvl.edge.answer import Progress
from magicvl.edge.plan import scale_note
from magicvl.edge.video.asked import Asked
from magicvl.edge.video.captioned import Captioned, Chosen
from magicvl.edge.video.film import Film, once
from magicvl.errors import UsageError

if TYPE_CHECKING:
    from magicvl.edge.engine import Engine

Note = Callable[[str], None]


@dataclass(frozen=True)
class CaptionCall:
    """What `magicvl caption` is called with."""

    film: Path
    fps: float | None
    """Pictures a second of a folder."""
    asked: Asked
    draw: Path | None
    force: bool

    def check(self) -> None:
        """What can be known to be wrong before a file is read. Raises UsageError."""
        from magicvl.edge.draw import check_target

        if self.draw is None and self.force:
            raise UsageError("--force without --draw: caption writes no other file")
        if self.draw is not None:
            check_target(self.draw, force=self.force)


def caption_film(call: CaptionCall, load: "Callable[[], Engine]", note: Note, progress: Progress | None) -> Captioned:
    """Describes the film, and draws its sheet where one is wanted; nothing is written where that fails.

    The film is opened before the model is loaded, which takes its time.
    """
    from magicvl.edge.draw import save_png
    from magicvl.edge.engine import silent
    from magicvl.edge.video.caption import Watcher, caption
    from magicvl.edge.video.open_film import open_film
    from magicvl.edge.video.sheet import Sheet

    call.check()
    notes: list[str] = []
    film, sheet = open_film(call.film, fps=call.fps, note=once(note, notes)), Sheet()
    watcher = Watcher(
        progress or silent,
        chosen=lambda film, chosen: note(_chosen(film, chosen)),
        frame=(lambda frame: None) if call.draw is None else sheet.add,
    )
    with load() as engine:
        made = replace(caption(engine, film, call.asked, watcher), notes=tuple(notes))
    if made.left_out:
        note(f"{call.film}: {made.left_out} moments show the picture of the one before; it was looked at once")
    if call.draw is not None:
        save_png(sheet.draw(made.description.subjects), call.draw, force=call.force)
    return made


def _chosen(film: Film, chosen: Chosen) -> str:
    """What is looked at, in one line."""
    scenes = "" if chosen.scenes is None else f" of {chosen.scenes} scene{'s' * (chosen.scenes > 1)}"
    several = f", {chosen.share.window} at most at once" if len(chosen.windows) > 1 else ""
    scaled = scale_note(chosen.plan, chosen.share.frame_budget)
    return (
        f"{film.name}: {len(chosen.times)} frames{scenes} from {film.seconds:.1f} seconds, {chosen.plan.tokens} visual "
        f"tokens each{several}{'' if scaled is None else f'; {scaled}'}"
    )
