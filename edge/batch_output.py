"""The answers of a batch: a file of JSON Lines that only ever grows by whole rows.

OUT.jsonl       one row a line, each on disk (fsync) before the next is computed
OUT.jsonl.job   what the rows belong to; locked (flock) while a process writes

A process may be killed at any moment: a finished row stays, and a last line cut short is taken off by the next
process, which asks that row again.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self

from magicvl.edge.answer import Options
from magicvl.edge.batch_rows import Questions
from magicvl.edge.bundle import Lock, lock_to_json
from magicvl.edge.files import append_whole, whole_file
from magicvl.errors import MagicVLError, UsageError

JOB_FORMAT = 1
Record = dict[str, Any]
"""A row of the output: `row`, `id` and `meta` where given, and either `error` or what `Answer.to_json` has."""


@dataclass(frozen=True)
class Job:
    """What decides the answers of a batch. Threads, engine and where the bundle lies do not."""

    input: str
    """SHA-256 of the file of rows."""
    prompt: str | None
    """Of rows without their own."""
    options: dict[str, Any]
    """Of rows without their own."""
    bundle: str
    """SHA-256 of the lock, reports left out."""
    format: int = JOB_FORMAT

    def differences(self, other: "Job") -> list[str]:
        """What the two do not share, by name."""
        names = [item.name for item in fields(self) if getattr(self, item.name) != getattr(other, item.name)]
        if "options" in names:
            options = sorted(self.options.keys() | other.options.keys())
            changed = [name for name in options if self.options.get(name) != other.options.get(name)]
            names[names.index("options") : names.index("options") + 1] = changed
        return names


@dataclass(frozen=True)
class Tally:
    """Rows of an output, counted."""

    answered: int = 0
    failed: int = 0
    cut_short: int = 0
    """Answered rows that a token limit or the end of the context stopped."""

    @property
    def rows(self) -> int:
        """All of them."""
        return self.answered + self.failed

    def add(self, record: Record) -> "Tally":
        """With one row more."""
        if "error" in record:
            return replace(self, failed=self.failed + 1)
        cut = record["finish_reason"] != "stop"
        return replace(self, answered=self.answered + 1, cut_short=self.cut_short + cut)


def make_job(questions: Questions, prompt: str | None, options: Options, lock: Lock) -> Job:
    """The job of these rows, on the bundle of that lock."""
    # Through JSON and back, so that it equals what the file gives.
    return Job(questions.sha256, prompt, json.loads(json.dumps(asdict(options))), lock_digest(lock))


def lock_digest(lock: Lock) -> str:
    """SHA-256 of what a bundle's lock says of its answers; reports left out."""
    told = lock_to_json(lock)
    for name in ("provenance", "report", "parity"):
        del told[name]
    told["files"].pop("caption_lora", None)
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


class Output:
    """An output held by this process: what is in it, and a way to add to it. Close it, or use it in a `with`."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        job: Job,
        numbers: Collection[int],
        *,
        force: bool = False,
        retry: bool = False,
    ) -> None:
        """Locks the output, compares its job and mends its end.

        `numbers` are the rows that it may hold. `force` starts anew, `retry` takes rows with an error off, so
        that they are asked again. Raises UsageError for an output of another job or of nobody's, MagicVLError
        where another process holds it, or where it is damaged or cannot be written.
        """
        self.path = Path(os.path.realpath(path))
        self.job_path = self.path.with_name(f"{self.path.name}.job")
        self.done: set[int] = set()
        """Numbers of the rows in it."""
        self.tally = Tally()
        self.mended = 0
        """Bytes of a last line cut short that were taken off."""
        self._file = -1
        try:
            self._check_place(force=force)
            self._lock = _hold(self.job_path, self.path)
            try:
                self._open(job, frozenset(numbers), force=force, retry=retry)
            except BaseException:
                self.close()
                raise
        except OSError as error:
            raise MagicVLError(f"{self.path}: cannot be written ({error.strerror})") from None

    def close(self) -> None:
        """Lets go of the output; what was added is on disk already."""
        for file in (self._file, self._lock):
            if file >= 0:
                os.close(file)
        self._file = self._lock = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def add(self, record: Record) -> None:
        """Appends a row; when this returns it is on disk. Raises MagicVLError where it cannot be written."""
        # What the error of a file with a strange name cannot spell becomes a JSON escape.
        data = f"{json.dumps(record, ensure_ascii=False)}\n".encode(errors="backslashreplace")
        try:
            append_whole(self._file, data)
        except OSError as error:
            raise MagicVLError(
                f"{self.path}: row {record['row']} cannot be written ({error.strerror}); the {len(self.done):,} rows "
                f"in it are safe, the same command goes on after them"
            ) from None
        self._count(record)

    @property
    def _begun(self) -> bool:
        return self.path.exists() and self.path.stat().st_size > 0

    def _check_place(self, *, force: bool) -> None:
        if not self.path.parent.is_dir():
            raise UsageError(f"{self.path.parent}: no such directory")
        for path in (self.path, self.job_path):
            if path.exists() and not path.is_file():
                raise UsageError(f"{path}: not a plain file")
        if self._begun and not self.job_path.exists() and not force:
            self._disown()

    def _open(self, job: Job, numbers: frozenset[int], *, force: bool, retry: bool) -> None:
        if force or not self._begun:
            if not force:
                self._known_job()
            self._begin(job)
        else:
            self._compare(job)
            self._mend()
            if retry:
                self._drop_failed()
        self._file = os.open(self.path, os.O_WRONLY | os.O_APPEND)
        for line, record in enumerate(_records(self.path), 1):
            if record is None or record["row"] not in numbers or record["row"] in self.done:
                raise MagicVLError(f"{self.path}: line {line} is no row of this job; take it out, or --force anew")
            self._count(record)

    def _begin(self, job: Job) -> None:
        """An empty output of this job. The job is there first: an output without one is nobody's."""
        if self.path.exists():
            os.truncate(self.path, 0)
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, f"{json.dumps(asdict(job), indent=2, ensure_ascii=False)}\n".encode(), 0)
        os.fsync(self._lock)
        os.close(os.open(self.path, os.O_WRONLY | os.O_CREAT, 0o666))
        _sync_directory(self.path.parent)

    def _known_job(self) -> Job | None:
        """The job in the job file, None where that is empty. Raises UsageError where it holds something else."""
        data = os.pread(self._lock, os.fstat(self._lock).st_size, 0)
        if not data:
            return None
        try:
            return Job(**json.loads(data))
        except (ValueError, TypeError):
            raise UsageError(f"{self.job_path}: no job of a batch; give another -o, or --force to replace it") from None

    def _compare(self, job: Job) -> None:
        known = self._known_job()
        if known is None:
            self._disown()
        elif names := job.differences(known):
            raise UsageError(
                f"{self.path}: its rows belong to another job ({', '.join(names)} changed); give another -o, or "
                f"--force to start anew"
            )

    def _disown(self) -> NoReturn:
        raise UsageError(
            f"{self.path}: it is there already, and no {self.job_path.name} says what of; give another -o, or --force "
            f"to overwrite it"
        )

    def _mend(self) -> None:
        """Takes off what stands after the last line end."""
        end = _end_of_lines(self.path)
        self.mended = self.path.stat().st_size - end
        if self.mended:
            os.truncate(self.path, end)

    def _drop_failed(self) -> None:
        """Writes the output without its rows in error beside it, and in its place."""
        with whole_file(self.path) as partial, self.path.open("rb") as old, partial.open("wb") as new:
            for line, record in zip(old, _records(self.path), strict=True):
                if record is None or "error" not in record:
                    new.write(line)
            new.flush()
            os.fsync(new.fileno())
        _sync_directory(self.path.parent)

    def _count(self, record: Record) -> None:
        self.done.add(record["row"])
        self.tally = self.tally.add(record)


def _hold(path: Path, output: Path) -> int:
    """The descriptor of the locked job file. The kernel unlocks it when the process ends, however it ends."""
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        raise MagicVLError(f"{output}: another process is writing it; wait for it, or give another -o") from None
    return file


def _records(path: Path) -> Iterator[Record | None]:
    """The rows of an output; None for a line that is none."""
    with path.open("rb") as file:
        for line in file:
            yield _record(line)


def _record(line: bytes) -> Record | None:
    try:
        data = json.loads(line)
    except ValueError:
        return None
    whole = isinstance(data, dict) and type(data.get("row")) is int and ("error" in data or "finish_reason" in data)
    return data if whole else None


def _end_of_lines(path: Path) -> int:
    """Bytes up to and with the last line end."""
    end = 0
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                end += len(line)
    return end


def _sync_directory(path: Path) -> None:
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
