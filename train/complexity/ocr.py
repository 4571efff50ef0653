"""Tesseract, where it is installed: the printed words of a picture whose sample does not know them."""

import io
import shutil
import subprocess

from PIL import Image

from magicvl.errors import MagicVLError, UsageError

PATIENCE = 120.0
"""Seconds that one picture may take."""


class Ocr:
    """The program, found."""

    def __init__(self) -> None:
        """Raises UsageError where it is not installed."""
        found = shutil.which("tesseract")
        if found is None:
            raise UsageError("--ocr: no tesseract on the PATH; install it (Debian: tesseract-ocr), or leave --ocr out")
        self._program = found

    def read(self, picture: Image.Image) -> str:
        """The words that are printed anywhere in a picture, in its own language data. Raises MagicVLError."""
        data = io.BytesIO()
        picture.convert("RGB").save(data, "PNG")
        try:
            # Page mode 11: sparse text in no order, which a photograph has.
            done = subprocess.run(
                [self._program, "stdin", "stdout", "--psm", "11"],
                input=data.getvalue(),
                capture_output=True,
                timeout=PATIENCE,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise MagicVLError(f"{self._program}: {error}") from None
        if done.returncode:
            said = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
            raise MagicVLError(f"{self._program} failed: {said[0] if said else f'exit code {done.returncode}'}")
        return " ".join(done.stdout.decode("utf-8", "replace").split())
