"""The ceilings: the same tokens through libmtmd and llama_decode, with nothing of the engine around them."""

from collections.abc import Sequence

from magicvl.bench.stopwatch import Stopwatch
from magicvl.edge.bundle import Bundle
from magicvl.edge.gguf_check import read_gguf
from magicvl.edge.llama import Context, Model, Vision
from magicvl.edge.pixels import Pixels
from magicvl.edge.prompt import ask_messages
from magicvl.edge.request import CutPicture, chat_template, open_and_cut, prepare

FIRST, PREFILL, SECOND, TILE = "bare, first", "bare, first, decoder alone", "bare, second", "bare, one full tile"

Parts = Sequence[list[int] | Pixels]


class Bare:
    """A loaded bundle."""

    def __init__(self, bundle: Bundle, threads: int, context: int) -> None:
        self.lock, self.threads = bundle.lock, threads
        llm = read_gguf(bundle.path("llm"))
        self.template = chat_template(llm)
        self.model = Model(llm.path)
        grid = self.lock.grid
        self.vision = Vision(bundle.path("mmproj"), self.model, grid.unit, grid.tile_tokens, threads)
        self.context = Context(self.model, context, threads)

    def __enter__(self) -> "Bare":
        return self

    def __exit__(self, *_: object) -> None:
        self.context.close()
        self.vision.close()
        self.model.close()

    def two_questions(self, watch: Stopwatch, picture: bytes, questions: Sequence[str]) -> None:
        """From tiles that are cut already to the first token's logits; then for what a second question adds."""
        seen: CutPicture = open_and_cut(picture, self.lock, None)
        first, second = (self._parts(question, seen) for question in questions[:2])
        self.context.clear()
        with watch.measure(FIRST):
            embeddings = [self.vision.encode(part) for part in first if not isinstance(part, list)]
            with watch.measure(PREFILL):
                tiles = iter(embeddings)
                for part in first:
                    last = part is first[-1]
                    if isinstance(part, list):
                        self.context.push_tokens(part, logits=last)
                    else:
                        self.context.push_embeddings(next(tiles), logits=last)
                self.context.logits()
        watch.tokens[FIRST] = watch.tokens[PREFILL] = self.context.position
        old, new = first[-1], second[-1]
        assert isinstance(old, list)
        assert isinstance(new, list)
        alike = next((i for i, (one, other) in enumerate(zip(old, new, strict=False)) if one != other), len(new) - 1)
        self.context.select(0, self.context.position - len(old) + alike)
        with watch.measure(SECOND):
            self.context.push_tokens(new[alike:], logits=True)
            self.context.logits()
        watch.tokens[SECOND] = len(new) - alike

    def tile(self, watch: Stopwatch, pixels: Pixels) -> None:
        """Encodes one tile."""
        with watch.measure(TILE):
            found = self.vision.encode(pixels)
        watch.tokens[TILE] = len(found)

    def _parts(self, question: str, seen: CutPicture) -> Parts:
        return prepare(ask_messages(question, 1), [seen], self.lock, self.model, self.template).parts
