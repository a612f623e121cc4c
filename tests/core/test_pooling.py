from itertools import combinations, pairwise

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from fastbert_core.pooling import Group, Pool, Shapes, cut

HIDDEN = 3


def group(lengths, width, layer=1, first=0):
    """A group whose hidden states name sample and token: 100 · sample + token."""
    samples = np.arange(first, first + len(lengths))
    states = 100.0 * samples[:, None] + np.arange(width)
    hidden = torch.from_numpy(states)[:, :, None].expand(-1, -1, HIDDEN).float().contiguous()
    return Group(samples, np.array(lengths), hidden, layer)


def assert_whole(found):
    """Each row still holds its own sample's states, and nothing that is not finite."""
    for sample, length, states in zip(found.samples, found.lengths, found.hidden, strict=True):
        expected = 100.0 * sample + torch.arange(int(length)).float()
        assert torch.equal(states[:length], expected[:, None].expand(-1, HIDDEN))
    assert torch.isfinite(found.hidden).all()


def test_shapes():
    shapes = Shapes(longest=44, tokens=320)
    assert [shapes.width(tokens) for tokens in (1, 8, 9, 40, 41, 44)] == [8, 8, 16, 40, 44, 44]
    assert [shapes.capacity(width) for width in (8, 40, 44)] == [40, 8, 7]
    assert Shapes(longest=512, tokens=320).capacity(512) == 1
    assert [Shapes(longest=44, tokens=320, rows=5).capacity(width) for width in (44, 160)] == [5, 2]
    assert shapes.smaller().capacity(40) == 2
    assert Shapes(longest=44, tokens=2, rows=2).smaller() == Shapes(longest=44, tokens=1, rows=1)


def test_a_mask_tells_real_tokens():
    assert group([4, 4], 4).mask() is None
    assert group([4, 1], 4).mask().tolist() == [[True] * 4, [True, False, False, False]]


def test_a_buffer_that_begins_with_short_rows_of_a_wide_group_is_narrow():
    pool = Pool(Shapes(longest=64, tokens=4096, rows=2))
    pool.add(group([24, 24, 7], 24), np.array([True, True, True]))
    assert pool.full_batch().hidden.shape == (2, 24, HIDDEN)
    left = pool.rest()
    assert left.hidden.shape == (1, 8, HIDDEN)
    assert_whole(left)


def test_padding_of_a_buffer_is_finite_whatever_its_memory_held():
    torch.use_deterministic_algorithms(True)  # fills fresh memory with NaN
    try:
        pool = Pool(Shapes(longest=64, tokens=4096, rows=3))
        pool.add(group([16, 16, 16], 16), np.array([True, False, False]))
        pool.add(group([8, 8, 8], 8, first=3), np.array([True, True, False]))
        assert_whole(pool.full_batch())
    finally:
        torch.use_deterministic_algorithms(False)


def test_a_batch_is_cut_where_that_saves_more_padding_than_a_batch_costs():
    mixed = group([64, 63, 40, 16, 9, 8], 64)
    assert cut(mixed.lengths, Shapes(longest=64, tokens=512, batch_cost=200)) == [slice(0, 6)]
    # 3 x 48 tokens of padding for a part; narrower still, 24 and 8 would not pay for another.
    shapes = Shapes(longest=64, tokens=512, rows=6, batch_cost=64)
    assert cut(mixed.lengths, shapes) == [slice(0, 3), slice(3, 6)]
    pool = Pool(shapes)
    pool.add(mixed, np.ones(6, bool))
    long, short = pool.full_batch(), pool.full_batch()
    assert (long.samples.tolist(), short.samples.tolist()) == ([0, 1, 2], [3, 4, 5])
    assert (long.hidden.shape[1], short.hidden.shape[1], short.layer) == (64, 16, mixed.layer)
    assert_whole(long)
    assert_whole(short)


@given(st.lists(st.integers(1, 64), min_size=1, max_size=6), st.integers(0, 100))
def test_no_other_cut_costs_less(lengths, batch_cost):
    lengths, shapes = sorted(lengths, reverse=True), Shapes(longest=64, tokens=512, batch_cost=batch_cost)

    def cost(parts):
        return sum(batch_cost + len(part) * shapes.width(part[0]) for part in parts)

    found = [lengths[part] for part in cut(np.array(lengths), shapes)]
    assert [length for part in found for length in part] == lengths
    places = range(1, len(lengths))
    every = (some for count in range(len(lengths)) for some in combinations(places, count))
    least = min(cost([lengths[a:b] for a, b in pairwise([0, *some, len(lengths)])]) for some in every)
    assert cost(found) == least


def test_the_parts_of_a_batch_come_next_and_in_order():
    pool = Pool(Shapes(longest=64, tokens=512, rows=4, batch_cost=1))
    pool.add(group([64, 32, 16], 64), np.ones(3, bool))
    pool.add(group([8, 8, 8, 8], 8, first=3), np.ones(4, bool))
    order = []
    while (batch := pool.full_batch() or pool.rest()) is not None:
        order += batch.samples.tolist()
        assert_whole(batch)
    assert order == list(range(7))


def test_the_deepest_full_batch_goes_first_and_the_shallowest_rest():
    pool = Pool(Shapes(longest=64, tokens=4096, rows=2))
    for layer in (1, 3, 2, 3):
        pool.add(group([8, 8], 8, layer, first=10 * layer), np.ones(2, bool))
        pool.add(group([8], 8, layer, first=10 * layer + 5), np.ones(1, bool))
    layers = []
    while (batch := pool.full_batch()) is not None:
        layers.append(batch.layer)
    assert layers == [3, 3, 3, 2, 1]
    layers = []
    while (batch := pool.rest()) is not None:
        layers.append(batch.layer)
    assert layers == [1, 2]
