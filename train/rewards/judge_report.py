"""What judges did on planted truths, as text and as data."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from magicvl.train.rewards.agreement import Agreement, Row
from magicvl.train.rewards.whole_agreement import Order

WIDTH = 44
"""Characters of a judge's name."""


@dataclass(frozen=True)
class Tried:
    """One set of films: what each judge did on them."""

    films: str
    """Which they are."""
    agreements: tuple[Agreement, ...]


@dataclass(frozen=True)
class TriedWhole:
    """What a judge did with whole captions."""

    name: str
    completeness: tuple[Order, ...]
    naturalness: dict[str, tuple[Order, ...]]
    """By way: asked, likelihood."""


def right_share(row: Row) -> float:
    """Share of right verdicts on what the kind is about: told events of good captions, untold ones of wrong ones."""
    return row.missed / row.untold if row.untold else row.found / row.told


def to_text(tried: Sequence[Tried], whole: Sequence[TriedWhole] = ()) -> str:
    """A table a set of films; a column a kind of caption."""
    lines: list[str] = []
    for each in tried:
        kinds = [row.kind for row in each.agreements[0].rows]
        columns = ["told", "untold", "all", *kinds, "pairs", "order"]
        lines += [each.films, " ".join([f"{'judge':<{WIDTH}}", *(f"{column:>10}" for column in columns)])]
        lines += [_line(agreement) for agreement in each.agreements]
    for found in whole:
        lines.append(f"{found.name}: completeness {_orders(found.completeness)}")
        lines += [f"{found.name}: naturalness, {way}, {_orders(rows)}" for way, rows in found.naturalness.items()]
    return "\n".join(lines)


def to_json(tried: Sequence[Tried], whole: Sequence[TriedWhole] = ()) -> dict[str, Any]:
    """The same as one object."""
    return {
        "films": [{"films": each.films, "judges": [_agreement(one) for one in each.agreements]} for each in tried],
        "whole": [
            {
                "judge": each.name,
                "completeness": {order.kind: order.share for order in each.completeness},
                "naturalness": {
                    way: {order.kind: order.share for order in orders} for way, orders in each.naturalness.items()
                },
            }
            for each in whole
        ],
    }


def _line(found: Agreement) -> str:
    shares = [found.told, found.untold, found.balanced, *map(right_share, found.rows), found.swapped, found.order]
    verdict = "" if found.trusted else "  refused"
    return " ".join([f"{found.name:<{WIDTH}}", *(f"{share:>10.0%}" for share in shares)]) + verdict


def _orders(orders: Sequence[Order]) -> str:
    return ", ".join(f"{each.kind} {each.share:.0%}" for each in orders) + " of the pairs in order"


def _agreement(found: Agreement) -> dict[str, Any]:
    return {
        "judge": found.name,
        "trusted": found.trusted,
        "told": found.told,
        "untold": found.untold,
        "balanced": found.balanced,
        "swapped": found.swapped,
        "swapped_pairs": found.pairs,
        "order": found.order,
        "line": found.line,
        "kinds": {
            row.kind: {"told": row.told, "found": row.found, "untold": row.untold, "missed": row.missed}
            for row in found.rows
        },
    }
