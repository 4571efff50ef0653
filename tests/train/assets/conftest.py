"""Made-up packages with the files that the real ones have, so small that they are built in the test."""

import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from magicvl.train.assets import packages

# Offset, lexicographer file, words, pointers: a tiny WordNet.
SENSES = {
    "00000001": ("03", "entity", ""),
    "00000010": ("05", "animal", "@ 00000001"),
    "00000020": ("05", "dog domestic_dog", "@ 00000010"),
    "00000030": ("05", "bird", "@ 00000010"),
    "00000040": ("05", "penguin", "@ 00000030"),
    "00000050": ("06", "vehicle", "@ 00000001"),
    "00000060": ("06", "car auto automobile", "@ 00000050 %p 00000070"),
    "00000070": ("06", "wheel", "@ 00000001"),
    "00000080": ("13", "apple", "@ 00000001"),
    "00000090": ("06", "guitar", "@ 00000001"),
    "00000100": ("06", "acoustic_guitar", "@ 00000090"),
    "00000110": ("07", "redness red", "@ 00000001"),
    "00000120": ("15", "Paris", "@i 00000001"),
    "00000130": ("05", "mouse", "@ 00000010"),
    "00000140": ("20", "snowdrop", "@ 00000001"),
}


def write_wordnet(root: Path) -> None:
    """data.noun, index.noun and noun.exc in the format of wndb(5WN)."""
    folder = root / "usr/share/wordnet"
    folder.mkdir(parents=True)
    data, index = ["  1 A licence stands here."], ["  1 A licence stands here."]
    for offset, (kind, words, pointers) in SENSES.items():
        spelt = words.split()
        fields = pointers.split()
        pairs = [f"{fields[i]} {fields[i + 1]} n 0000" for i in range(0, len(fields), 2)]
        said = " ".join(f"{word} 0" for word in spelt)
        data.append(f"{offset} {kind} n {len(spelt):02x} {said} {len(pairs):03d} {' '.join(pairs)} | a gloss")
        index += [f"{word.lower()} n 1 1 @ 1 0 {offset}" for word in spelt]
    (folder / "data.noun").write_text("\n".join(data) + "\n")
    (folder / "index.noun").write_text("\n".join(index) + "\n")
    (folder / "noun.exc").write_text("mice mouse\n")


def svg(title: str, keywords: str, colour: str, extra: str = "") -> str:
    """A drawing as openclipart has them, its size in points and without a view box."""
    words = "".join(f"<rdf:li>{word}</rdf:li>" for word in keywords.split())
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:rdf="r" xmlns:cc="c" xmlns:dc="d" width="90pt" height="60pt">'
        f"<metadata><cc:Work><dc:title>{title}</dc:title><rdf:Bag>{words}</rdf:Bag></cc:Work></metadata>"
        f'<rect x="10" y="10" width="60" height="40" fill="{colour}"/><circle cx="70" cy="40" r="12" fill="black"/>'
        f"{extra}</svg>"
    )


def _stamps(root: Path) -> None:
    folder = root / "usr/share/tuxpaint/stamps/animals"
    folder.mkdir(parents=True)
    for name, caption, colour in (
        ("dog", "A happy dog!", "brown"),
        ("penguin-1", "A penguin.", "navy"),
        ("cars", "A red car.", "red"),
        ("none", "Excited!", "red"),
    ):
        picture = Image.new("RGBA", (200, 120))
        pen = ImageDraw.Draw(picture)
        pen.ellipse((40, 20, 160, 100), fill=colour)
        pen.line((60, 20 + len(name) * 10, 150, 60), fill="white", width=9)
        picture.save(folder / f"{name}.png")
        (folder / f"{name}.txt").write_text(f"{caption}\nde.utf8=Etwas.\n")


def _openclipart(root: Path) -> None:
    folder = root / "usr/share/openclipart/svg/animals"
    folder.mkdir(parents=True)
    (folder / "dog_01.svg").write_text(svg("Brown Dog", "animal dog", "peru"))
    (folder / "dog_02.svg").write_text(svg("Brown Dog", "animal dog", "peru"))
    (folder / "dog_03.svg").write_text(svg("Dog", "dog", "green", '<path d="M0 0L80 50L0 50Z" fill="gold"/>'))
    (folder / "guitar.svg").write_text(svg("Acoustic Guitar", "guitar", "orange"))
    (folder / "red.svg").write_text(svg("Very Red", "red", "red"))
    (folder / "damaged_apple.svg").write_text("<svg>" + svg("Apple", "apple", "red"))


def _flashcards(root: Path) -> None:
    folder = root / "usr/share/games/pysiogame/res/images/art4apps/fruit_n_veg"
    folder.mkdir(parents=True)
    picture = Image.new("RGB", (100, 100), "white")
    ImageDraw.Draw(picture).ellipse((20, 20, 80, 80), fill="red", outline="black", width=4)
    picture.save(folder / "apple.jpg", quality=95)


def _costumes(root: Path) -> None:
    folder = root / "usr/share/scratch/Media/Costumes/Animals"
    folder.mkdir(parents=True)
    for name, right in (("penguin1-a", 70), ("mice2", 40)):
        picture = Image.new("RGBA", (80, 80))
        pen = ImageDraw.Draw(picture)
        pen.rectangle((5, 5, right, 75), fill="teal")
        pen.line((5, 5, right, 75), fill="yellow", width=12)
        picture.save(folder / f"{name}.gif")


def _emoji(root: Path) -> None:
    # A font without colours, which is drawn in white.
    import matplotlib

    folder = root / "usr/share/fonts/truetype/noto"
    folder.mkdir(parents=True)
    shutil.copy(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf", folder / "NotoColorEmoji.ttf")


def _emoji_names(root: Path) -> None:
    folder = root / "usr/share/unicode/cldr/common/annotations"
    folder.mkdir(parents=True)
    for language, word in (("en", "car"), ("it", "macchina"), ("fr", "voiture")):
        entry = f'<annotation cp="\u2708" type="tts">{word}</annotation>'
        (folder / f"{language}.xml").write_text(f"<ldml><annotations>{entry}</annotations></ldml>", encoding="utf-8")


def _wallpapers(root: Path) -> None:
    folder = root / "usr/share/backgrounds"
    folder.mkdir(parents=True)
    noise = Image.effect_noise((640, 400), 80).convert("RGB")
    noise.save(folder / f"{root.name}.png")


FILLED = {
    packages.STAMPS: _stamps,
    packages.OPENCLIPART: _openclipart,
    packages.FLASHCARDS: _flashcards,
    packages.COSTUMES: _costumes,
    packages.EMOJI: _emoji,
    packages.EMOJI_NAMES: _emoji_names,
    packages.WORDNET: write_wordnet,
    **dict.fromkeys(packages.BACKGROUNDS, _wallpapers),
}


@pytest.fixture(scope="session")
def made_up_roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every package's files by its name, as if unpacked."""
    folder = tmp_path_factory.mktemp("unpacked")
    roots = {package.name: folder / package.name for package in packages.PACKAGES}
    for package, fill in FILLED.items():
        root = roots[package.name]
        fill(root)
        copyright_file = root / "usr/share/doc" / package.name / "copyright"
        copyright_file.parent.mkdir(parents=True)
        copyright_file.write_text(f"Licence: {package.licence}\n")
    return roots


@pytest.fixture(scope="session")
def made_up_debs(made_up_roots: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of .deb files of them; skips where there is no dpkg-deb."""
    if not shutil.which("dpkg-deb"):
        pytest.skip("needs dpkg-deb")
    folder, staged = tmp_path_factory.mktemp("debs"), tmp_path_factory.mktemp("staged")
    for name, root in made_up_roots.items():
        package = staged / name
        shutil.copytree(root, package)
        (package / "DEBIAN").mkdir()
        (package / "DEBIAN/control").write_text(
            f"Package: {name}\nVersion: 1:2-3\nArchitecture: all\nMaintainer: n <n@example.org>\nDescription: d\n"
        )
        command = ["dpkg-deb", "--root-owner-group", "-Znone", "--build", package, folder / f"{name}_1%3a2-3_all.deb"]
        subprocess.run(command, check=True, capture_output=True)
    return folder
