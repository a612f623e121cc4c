"""Which layer runs next, and who runs together."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fastbert_core.joining import Waiting, joined, together
from fastbert_core.pooling import Group, Shapes
from tests.core.test_pooling import HIDDEN, assert_whole, group

SHAPES = Shapes(longest=128, tokens=256)


def embedded(numbers, lengths):
    """New requests that are nothing but their lengths: states as those of `group`."""
    states = 100.0 * numbers[:, None] + np.arange(max(lengths))
    hidden = torch.from_numpy(states)[:, :, None].expand(-1, -1, HIDDEN).float().contiguous()
    return Group(numbers, np.array(lengths), hidden)


def waiting(shapes=SHAPES):
    return Waiting(shapes, embedded, int)


def begun(queue, samples, layer=0):
    """Requests 0 to `samples` that have executed so many layers more than one, and wait again."""
    for number in range(samples):
        queue.admit(number, 16)
    for _ in range(layer + 1):
        first = queue.next()
        first.layer += 1
        queue.put_back(first, np.ones(samples, bool))
    return first


def test_the_oldest_s_layer_runs_next():
    queue = waiting()
    begun(queue, 3, layer=1)
    queue.admit(3, 16)  # two layers behind
    batch = queue.next()
    assert (batch.layer, batch.samples.tolist()) == (2, [0, 1, 2])
    assert queue.next().samples.tolist() == [3]
    assert queue.next() is None


def test_who_fills_a_batch_waits_for_nobody():
    queue = waiting()
    begun(queue, 16)
    queue.admit(16, 16)
    assert queue.next().samples.tolist() == list(range(16))


def test_who_waits_for_one_layer_runs_together_whole():
    queue = waiting()
    queue.put_back(group([20, 18], 24, layer=2, first=5), np.array([True, False]))
    queue.put_back(group([17, 20, 22], 22, layer=2, first=1), np.array([True, False, True]))
    queue.put_back(group([17], 17, layer=3, first=9), np.array([True]))
    batch = queue.next()
    assert sorted(batch.samples.tolist()) == [1, 3, 5]
    assert batch.hidden.shape == (3, 24, HIDDEN)
    assert_whole(batch)
    assert queue.next().samples.tolist() == [9]


def test_who_is_of_another_length_waits_on():
    queue = waiting(Shapes(longest=128, tokens=4096))
    for number, length in enumerate([16, 128, 17, 120, 16]):
        queue.admit(number, length)
    assert queue.next().samples.tolist() == [0, 2, 4]
    assert queue.next().samples.tolist() == [1, 3]


def test_a_group_that_nobody_leaves_or_joins_is_not_copied():
    queue, same = waiting(), group([9, 9], 9)
    queue.put_back(same, np.array([True, True]))
    assert queue.next() is same


def test_a_text_alone_is_not_padded():
    assert joined([group([9], 9)], SHAPES).hidden.shape[1] == 9


@settings(max_examples=50)
@given(
    lengths=st.lists(st.integers(1, 128), min_size=1, max_size=60),
    tokens=st.integers(1, 600),
    seed=st.integers(0, 9),
)
def test_a_batch_holds_the_oldest_and_no_more_than_fits(lengths, tokens, seed):
    shapes, lengths = Shapes(longest=128, tokens=tokens), np.array(lengths)
    numbers = np.random.default_rng(seed).permutation(len(lengths)) + 5
    rows = together(numbers, lengths, shapes)
    assert len(set(rows.tolist())) == len(rows)
    assert numbers.min() in numbers[rows]
    assert len(rows) <= shapes.capacity(shapes.width(lengths[rows].max()))
    # No shorter one of the same width is left out while there is room.
    oldest, left = lengths[numbers.argmin()], np.setdiff1d(np.arange(len(lengths)), rows)
    if len(rows) < shapes.capacity(shapes.width(lengths[rows].max())):
        assert not any(shapes.width(lengths[row]) == shapes.width(oldest) for row in left)


@settings(max_examples=50)
@given(
    arrivals=st.lists(st.tuples(st.integers(1, 60), st.integers(1, 4), st.integers(0, 3)), max_size=50),
    tokens=st.integers(1, 300),
)
def test_each_executes_its_own_layers_and_no_more(arrivals, tokens):
    """arrivals: length, exit layer, and before which turn after the last it comes."""
    queue, executed, due, turn = waiting(Shapes(longest=128, tokens=tokens)), {}, [], 0
    for number, (length, exit_layer, later) in enumerate(arrivals):
        due.append((due[-1][0] + later if due else 0, number, length, exit_layer))
    exits = {number: exit_layer for _, number, _, exit_layer in due}
    while due or len(queue):
        while due and due[0][0] <= turn:
            _, number, length, _ = due.pop(0)
            queue.admit(number, length)
        turn += 1
        if (batch := queue.next()) is None:
            continue
        assert_whole(batch)
        batch.layer += 1
        for number in batch.samples.tolist():
            assert batch.layer == executed.get(number, 0) + 1
            executed[number] = batch.layer
        queue.put_back(batch, np.array([exits[number] > batch.layer for number in batch.samples.tolist()]))
    assert executed == exits
