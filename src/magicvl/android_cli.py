"""The commands `magicvl android ...`; each imports what it needs when it runs."""

from pathlib import Path
from typing import Annotated

import typer

from magicvl.command_options import Debug, Force, note

android = typer.Typer(help="Build for phones, and talk to one over adb.")

Serial = Annotated[str | None, typer.Option(help="Which phone, as adb devices lists it. [default: the only one]")]


@android.command(name="build")
def android_build(
    variant: Annotated[
        list[str] | None,
        typer.Option(
            help="armv8, dotprod, i8mm, lib (shared libraries, by an NDK) or host (for this machine: installed, not "
            "packed); once for each. [default: the first three, and lib where ANDROID_NDK_HOME is set]",
            show_default=False,
        ),
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option(help="llama-cpp-python's source archive, or the folder it was unpacked into. [default: fetched]"),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The archive. [default: magicvl-android-arm64-VERSION.tar.xz]"),
    ] = None,
    work: Annotated[
        Path | None, typer.Option(help="Folder of the builds. [default: magicvl/android in the user's cache]")
    ] = None,
    jobs: Annotated[int | None, typer.Option(help="Compilers at a time. [default: one a processor]")] = None,
    force: Force = False,
    debug: Debug = False,
) -> None:
    """Compile llama.cpp for phones and pack it with an installer; goes on where it was stopped.

    Prints the archive's name, or with --variant host the folder of the program that was installed.
    """
    from magicvl.android_command import BuildCall, build_archive

    print(build_archive(BuildCall(variant or (), source, output, work, jobs, force), note))


@android.command(name="push")
def android_push(
    archive: Annotated[Path | None, typer.Argument(help="What android build made.", show_default=False)] = None,
    bundle: Annotated[Path | None, typer.Option(help="Bundle directory to copy too.")] = None,
    serial: Serial = None,
    debug: Debug = False,
) -> None:
    """Copy to a phone: an archive, for Termux and with the programs for its processor ready to run, and a bundle."""
    from magicvl.android_command import push

    push(archive, bundle, serial, note)


@android.command(name="run", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
def android_run(
    command: Annotated[
        list[str], typer.Argument(help="A pushed program, such as llama-bench, and its arguments.", show_default=False)
    ],
    serial: Serial = None,
    debug: Debug = False,
) -> None:
    """Run a pushed program on a phone; a pushed bundle is the folder bundle. The exit code is the program's."""
    from magicvl.android_command import run as run_there

    raise typer.Exit(run_there(command, serial))


@android.command(name="pull")
def android_pull(
    remote: Annotated[str, typer.Argument(help="A file on the phone.", show_default=False)],
    target: Annotated[Path, typer.Argument(help="Where it goes: a file or a folder.")] = Path(),
    serial: Serial = None,
    force: Force = False,
    debug: Debug = False,
) -> None:
    """Copy a file from a phone; one without a leading / is from magicvl's folder there."""
    from magicvl.android_command import pull

    print(pull(remote, target, serial, force=force))
