"""Opens samples by name, whatever they are stored in."""

from magicvl.errors import UsageError
from magicvl.train.generator.dataset import SPLITS, Split
from magicvl.train.samples.source import Stream
from magicvl.train.samples.spec import parse_spec


def open_samples(spec: str, seed: int = 0, split: Split = "train") -> Stream:
    """The samples that a spec names (see magicvl.train.samples.spec), read as they are asked for.

    `llava:` and `hf:` give `Samples`: by number, with a length. `generated:` gives an `Endless` one, by any number;
    `webdataset:` a `Stream`. All have `shard(worker, workers)` and `shuffled(seed)`.

    `seed` is what generated samples are drawn by; stored ones come in their own order. `split` is that of generated
    samples, and of `hf:` folders that have several; a LLaVA file or shards are one split, whichever that is.
    Raises UsageError for a spec that names nothing, SampleError for what is damaged.
    """
    if split not in SPLITS:
        raise UsageError(f"split {split!r}: there are {', '.join(SPLITS)}")
    named = parse_spec(spec)
    if named.kind == "llava":
        from magicvl.train.samples.llava import open_llava

        return open_llava(named)
    if named.kind == "webdataset":
        from magicvl.train.samples.shards import open_shards

        return open_shards(named)
    if named.kind == "hf":
        from magicvl.train.samples.hugging_face import open_folder

        return open_folder(named, split)
    from magicvl.train.samples.generated import open_generated

    return open_generated(named.place, seed, split)
