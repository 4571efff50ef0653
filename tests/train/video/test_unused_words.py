"""Words that were never met get vectors of their own; all others keep theirs."""

import torch

from magicvl.train.video.unused_words import MANY, crowded, spread


def a_table(unused: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    met = torch.randn(50, 16, generator=generator)
    drift = torch.full((16,), 0.6)
    return torch.cat([met, drift + 0.02 * torch.randn(unused, 16, generator=generator)])


def test_only_the_crowd_is_found() -> None:
    found = crowded(a_table(60))
    assert not found[:50].any()
    assert found[50:].all()


def test_the_crowd_is_spread_and_nothing_else_moves() -> None:
    table = a_table(60)
    before = table.clone()
    assert spread(table) == 60
    assert torch.equal(table[:50], before[:50])
    assert not crowded(table).any()
    assert torch.allclose(table[50:].norm(dim=1), before[:50].norm(dim=1).median())


def test_it_is_the_same_each_time() -> None:
    one, other = a_table(60), a_table(60)
    spread(one)
    spread(other)
    assert torch.equal(one, other)


def test_a_few_alike_are_no_crowd() -> None:
    table = a_table(MANY // 2)
    before = table.clone()
    assert spread(table) == 0
    assert torch.equal(table, before)
