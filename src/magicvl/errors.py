"""The errors that magicvl raises on purpose.

    MagicVLError            exit code 1
    ├── UsageError          exit code 2: an option or argument that cannot be meant
    ├── PictureError        a picture that cannot be read, or is too large to be read safely
    │   └── FilmError       a film that cannot be read, or is too large or too long to be read safely
    ├── BundleError         a bundle, lock or GGUF file that is missing, damaged or mismatched
    ├── CheckpointError     a checkpoint that cannot be converted as it is
    ├── SampleError         a training sample, or a file of them, that cannot be read
    └── EngineError         the native runtime refused, or the context is full
        └── CutShortError   an answer that must be whole reached a limit before it was

A message is one line: the value, the limit, and the way out.
"""


class MagicVLError(Exception):
    """Base of all errors that a user can do something about."""

    exit_code = 1


class UsageError(MagicVLError):
    """The call itself is wrong: an option out of range, or one that can have no effect."""

    exit_code = 2


class PictureError(MagicVLError):
    """A picture cannot be read, or its header claims more than the limit."""


class FilmError(PictureError):
    """A film cannot be read, or claims more than the limits."""


class BundleError(MagicVLError):
    """A bundle's file is missing, damaged, or does not fit the others."""


class CheckpointError(MagicVLError):
    """A checkpoint lacks something, or holds something that has no place in the bundle."""


class SampleError(MagicVLError):
    """A row of training data is wrong, or a file of them is missing, damaged or too large to be read safely."""


class EngineError(MagicVLError):
    """The native runtime cannot do what was asked."""


class CutShortError(EngineError):
    """An answer that must be whole reached a limit before it was."""
