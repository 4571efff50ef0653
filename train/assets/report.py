"""What a pack holds, in numbers."""

from collections import Counter, defaultdict
from dataclasses import dataclass

from magicvl.train.assets.catalogue import KEPT_APART, SETS
from magicvl.train.assets.pack import Pack
from magicvl.train.generator.dataset import SPLITS


@dataclass(frozen=True)
class Summary:
    """The numbers that `magicvl train assets` prints."""

    file: str
    megabytes: float
    drawings: dict[str, int]
    """By set."""
    names: dict[str, int]
    """By set; the same name may be in several."""
    splits: dict[str, int]
    """Drawings by side of the split."""
    names_by_split: dict[str, int]
    """Names that each side can draw."""
    trained: int
    """Names that are trained on."""
    in_two_sets: tuple[str, ...]
    """Names with drawings in more than one set."""
    photographs: int
    """Drawings that are photographs cut out."""
    backgrounds: int
    packages: dict[str, str]
    """Package -> version."""

    def to_text(self) -> str:
        """As lines for people."""
        lines = [f"{self.file}: {self.megabytes:.1f} MB, {self.trained} names are trained on"]
        lines += [
            f"  {name:<12}{self.drawings[name]:>6} drawings of {self.names[name]:>4} names"
            + (", kept for testing" if name == KEPT_APART else "")
            for name in SETS
        ]
        lines += [
            f"  split {name:<11}{self.splits[name]:>6} drawings of {self.names_by_split[name]:>4} names"
            for name in SPLITS
        ]
        lines.append(f"  {self.photographs} of the drawings are photographs; {self.backgrounds} backgrounds")
        lines.append(f"  in more than one set, {len(self.in_two_sets)} names: {', '.join(self.in_two_sets)}")
        lines += [f"  {package} {version}" for package, version in self.packages.items()]
        return "\n".join(lines)


def summarise(pack: Pack) -> Summary:
    """Counts what is in a pack."""
    things = pack.catalogue.things
    sets: dict[str, set[str]] = defaultdict(set)
    for thing in things:
        sets[thing.name].add(thing.set)
    return Summary(
        str(pack.path),
        pack.path.stat().st_size / 1e6,
        {name: sum(thing.set == name for thing in things) for name in SETS},
        {name: sum(name in where for where in sets.values()) for name in SETS},
        {split: sum(thing.split == split for thing in things) for split in SPLITS},
        {split: len(pack.things(split)) for split in SPLITS},
        len(pack.things("train")),
        tuple(sorted(name for name, where in sets.items() if len(where) > 1)),
        Counter(thing.style for thing in things)["photo"],
        len(pack.catalogue.backdrops),
        pack.catalogue.packages,
    )
