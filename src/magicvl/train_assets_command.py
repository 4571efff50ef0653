"""`magicvl train assets`: fetch the packages, make the pack, say what is in it."""

import shutil
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path

from magicvl.command_options import note, print_json, progress_line
from magicvl.errors import SampleError, UsageError
from magicvl.train.assets.folder import assets_folder, pack_file
from magicvl.train.assets.pack import Pack, write_pack
from magicvl.train.assets.packages import PACKAGES, fetch, given, unpack, version_of
from magicvl.train.assets.report import summarise


def assets(debs: Path | None, *, force: bool, as_json: bool) -> None:
    """Makes the pack where it is not there yet, and prints what it holds."""
    there = pack_file().exists()
    if there and debs is not None and not force:
        raise UsageError(f"{pack_file()}: the pack is there already, so --debs has no effect; --force makes it again")
    if force or not there:
        try:
            make_pack(debs)
        except OSError as error:
            raise SampleError(f"{error.filename or assets_folder()}: {error.strerror or error}") from None
    summary = summarise(Pack(pack_file()))
    if as_json:
        print_json(asdict(summary))
    else:
        print(summary.to_text())


def make_pack(debs: Path | None) -> None:
    """Fetches or takes the packages, unpacks them and writes the pack; what was fetched is kept for a next time."""
    for library in ("inflect", "resvg_py"):
        if find_spec(library) is None:
            raise UsageError(f"no {library}: pip install 'magicvl[train]' makes the pack")
    from magicvl.train.assets.build import build

    progress = progress_line()
    files = given(debs) if debs is not None else fetch(assets_folder() / "debs", progress)
    if missing := [package.name for package in PACKAGES if package.name not in files]:
        note(f"not to be had here, and left out: {', '.join(missing)}")
    unpacked = assets_folder() / "unpacked"
    roots = {}
    for number, (package, file) in enumerate(files.items()):
        if progress:
            progress("unpacking package", number, len(files))
        roots[package] = unpacked / file.stem
        unpack(file, roots[package])
    versions = {package: version_of(file) for package, file in files.items()}
    built = build(roots, versions, progress)
    write_pack(built.content, pack_file())
    shutil.rmtree(unpacked)
    note(f"{built.refused} drawings could not be drawn or show nothing, {built.alike} repeat another; left out")
    if debs is None:
        note(f"{assets_folder() / 'debs'} holds what was fetched; it may be deleted")
