"""Numbers between two bounds, as regular expressions over the digits that JSON writes them with."""

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from magicvl.errors import UsageError

DIGITS = 15
"""Most digits after the point, and one less than the most before it: a model must not count on for ever."""

LARGEST = 10 ** (DIGITS + 1) - 1

INTEGER = rf"-?(?:0|[1-9]\d{{0,{DIGITS}}})"
NUMBER = rf"{INTEGER}(?:\.\d{{1,{DIGITS}}})?(?:[eE][+-]?\d{{1,2}})?"

_ANY = rf"\d{{0,{DIGITS}}}"
_ZEROS = rf"0{{0,{DIGITS}}}"
_ABOVE_ZERO = rf"{_ZEROS}[1-9]{_ANY}"


@dataclass(frozen=True)
class Bound:
    """An end of a range."""

    value: Decimal
    open: bool = False
    """Whether the value itself is left out."""

    def __post_init__(self) -> None:
        # Spelling out 1e-99999999 would take its time: its height is looked at first.
        small = self.value != 0 and self.value.adjusted() < -DIGITS
        if abs(self.value) > LARGEST or small or len(_digits(self.value)[1]) > DIGITS:
            raise UsageError(f"a bound of {self.value}: at most {DIGITS + 1} digits before the point, {DIGITS} after")


def integers(low: Bound | None, high: Bound | None) -> str:
    """The integers in a range. Raises UsageError where there is none."""
    if low is None and high is None:
        return INTEGER
    least, most = -LARGEST, LARGEST
    if low is not None:
        least = int(low.value.to_integral_value(ROUND_CEILING))
        least += low.open and least == low.value
    if high is not None:
        most = int(high.value.to_integral_value(ROUND_FLOOR))
        most -= high.open and most == high.value
    if least > most:
        raise UsageError("no integer lies between the bounds")
    parts = []
    if most >= 0:
        parts.append(_whole(max(least, 0), most))
    if least < 0:
        parts.append("-" + _whole(max(1, -most), -least))
    return _either(parts)


def numbers(low: Bound | None, high: Bound | None) -> str:
    """The numbers in a range, without exponents. Raises UsageError where there is none."""
    if low is None and high is None:
        return NUMBER
    zero, low, high = Decimal(0), low or Bound(Decimal(-LARGEST)), high or Bound(Decimal(LARGEST))
    if low.value > high.value or (low.value == high.value and (low.open or high.open)):
        raise UsageError("no number lies between the bounds")
    parts = []
    if high.value >= 0:
        parts += _from_zero(max(low, Bound(zero), key=_height), high)
    if low.value < 0:
        # Zero is written without a sign.
        upper = Bound(zero, open=True) if high.value >= 0 else Bound(high.value.copy_negate(), high.open)
        parts += ["-" + each for each in _from_zero(upper, Bound(low.value.copy_negate(), low.open))]
    return _either(parts)


def _height(low: Bound) -> tuple[Decimal, bool]:
    return low.value, low.open


def _either(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else "(?:" + "|".join(parts) + ")"


def _whole(low: int, high: int) -> str:
    """The integers from `low` to `high`, 0 <= low <= high."""
    return _either(
        [
            _same_length(str(max(low, 10 ** (length - 1) if length > 1 else 0)), str(min(high, 10**length - 1)))
            for length in range(len(str(low)), len(str(high)) + 1)
        ]
    )


def _same_length(low: str, high: str) -> str:
    """The numbers from `low` to `high`, as many digits each."""
    if not low:
        return ""
    rest = len(low) - 1
    if low == "0" * len(low) and high == "9" * len(high):
        return rf"\d{{{len(low)}}}"
    if low[0] == high[0]:
        return low[0] + _same_length(low[1:], high[1:])
    parts = [low[0] + _same_length(low[1:], "9" * rest), high[0] + _same_length("0" * rest, high[1:])]
    if int(high[0]) - int(low[0]) > 1:
        parts.append(f"[{int(low[0]) + 1}-{int(high[0]) - 1}]\\d{{{rest}}}")
    return _either(parts)


def _from_zero(low: Bound, high: Bound) -> list[str]:
    """The numbers in a range that begins at zero or above; nothing where it is empty."""
    (first, after_first), (last, after_last) = _digits(low.value), _digits(high.value)
    # A whole number may be written without its zeros.
    first_whole, last_whole = not after_first and not low.open, bool(after_last) or not high.open
    if first == last:
        if low.value > high.value or (low.value == high.value and (low.open or high.open)):
            return []
        parts = [str(first)] if first_whole and last_whole else []
        return [*parts, rf"{first}\.{_between(after_first, low.open, after_last, high.open)}"]
    parts = [str(first)] if first_whole else []
    parts.append(rf"{first}\.{_at_least(after_first, low.open)}")
    if last_whole:
        parts.append(str(last))
        if after_last or not high.open:
            parts.append(rf"{last}\.{_at_most(after_last, high.open)}")
    if last - first > 1:
        parts.append(rf"{_whole(first + 1, last - 1)}(?:\.\d{{1,{DIGITS}}})?")
    return parts


def _digits(value: Decimal) -> tuple[int, str]:
    """What is before the point, as an integer, and the digits after it up to the last one that counts."""
    whole, _, after = f"{value:f}".partition(".")
    return int(whole), after.rstrip("0")


def _at_least(digits: str, above: bool) -> str:
    """Digits after a point, one or more, that make as much as `digits` or more."""
    if not digits:
        return _ABOVE_ZERO if above else rf"\d{_ANY}"
    parts = [digits[0] + _rest_at_least(digits[1:], above)]
    if digits[0] != "9":
        parts.append(f"[{int(digits[0]) + 1}-9]{_ANY}")
    return _either(parts)


def _rest_at_least(digits: str, above: bool) -> str:
    return _at_least(digits, above) if digits or above else _ANY


def _at_most(digits: str, below: bool) -> str:
    """Digits after a point, one or more, that make as much as `digits` or less; below zero there is nothing."""
    if not digits:
        return f"0{_ZEROS}"
    parts = []
    if digits[0] != "0":
        parts.append(f"[0-{int(digits[0]) - 1}]{_ANY}")
    if digits[1:]:
        parts.append(f"{digits[0]}(?:{_at_most(digits[1:], below)})?")
    elif not below:
        parts.append(f"{digits[0]}{_ZEROS}")
    return _either(parts)


def _between(low: str, above: bool, high: str, below: bool) -> str:
    """Digits after a point, one or more, from `low` to `high`, which leave something."""
    if not low and not above:
        return _at_most(high, below)
    if not high:
        # Up to a whole one: only where both are the same.
        return f"0{_ZEROS}"
    length = max(len(low), len(high))
    return _same_begin(low.ljust(length, "0"), above, high, below)


def _same_begin(low: str, above: bool, high: str, below: bool) -> str:
    first, last = low[:1] or "0", high[:1] or "0"
    if first == last:
        rest = low[1:].rstrip("0"), high[1:]
        if not rest[0] and not rest[1]:
            return first + _ZEROS
        if not rest[0] and not above:
            return f"{first}(?:{_at_most(rest[1], below)})?"
        return first + _same_begin(rest[0], above, rest[1], below)
    parts = [first + _rest_at_least(low[1:].rstrip("0"), above)]
    if int(last) - int(first) > 1:
        parts.append(f"[{int(first) + 1}-{int(last) - 1}]{_ANY}")
    if high[1:]:
        parts.append(f"{last}(?:{_at_most(high[1:], below)})?")
    elif not below:
        parts.append(last + _ZEROS)
    return _either(parts)
