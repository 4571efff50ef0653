"""What a folder of output belongs to: the same command goes on in it, another is refused."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from magicvl.edge.files import whole_file
from magicvl.errors import UsageError

JOB = "job.json"


def claim(folder: Path, job: Mapping[str, object], *, force: bool) -> bool:
    """Makes a folder this job's; says whether it was before. Raises UsageError where it is another's.

    `force` empties a folder that belongs to any job; one that belongs to none is never touched.
    """
    path = folder / JOB
    try:
        if not folder.exists() or not any(folder.iterdir()):
            folder.mkdir(parents=True, exist_ok=True)
        elif not path.is_file():
            raise UsageError(f"{folder}: files that are not of this command are in it; give another -o")
        elif force:
            shutil.rmtree(folder)
            folder.mkdir()
        else:
            _compare(path, job)
            return True
        with whole_file(path) as partial:
            partial.write_text(f"{json.dumps(job, indent=2, ensure_ascii=False)}\n", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{folder}: it can't be written ({error.strerror})") from None
    return False


def _compare(path: Path, job: Mapping[str, object]) -> None:
    try:
        known = json.loads(path.read_bytes())
    except ValueError:
        known = {}
    # Through JSON, so that it equals what the file gives.
    due = json.loads(json.dumps(job))
    changed = [name for name in due if not isinstance(known, dict) or known.get(name) != due[name]]
    if changed:
        raise UsageError(
            f"{path.parent}: it belongs to another job ({', '.join(changed)} changed); give another -o, or --force "
            f"to replace it"
        )
