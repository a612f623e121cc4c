import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastbert_core.encoder_folder import load_tokenizer, tiny
from fastbert_core.encoding import collate, encode, shuffled_batches, sorted_batches
from fastbert_core.errors import InputError

TEXTS = ["one two three", "", "two", "three three three three three three"]
lengths_of_texts = st.lists(st.integers(1, 128), min_size=1, max_size=300).map(lambda n: np.array(n, np.int32))


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return load_tokenizer(tiny(tmp_path_factory.mktemp("tiny"), TEXTS, layers=1).source)


def test_single_texts(tokenizer):
    encoded = encode(tokenizer, TEXTS)
    assert encoded.lengths.tolist() == [5, 2, 3, 8]  # an empty text is [CLS] [SEP]
    assert encoded.segments is None
    first = encoded.ids[encoded.offsets[0] : encoded.offsets[1]]
    assert tokenizer.convert_ids_to_tokens(first) == ["[CLS]", "one", "two", "three", "[SEP]"]


def test_stretches_make_no_difference(tokenizer, monkeypatch):
    def arrays(pairs):
        encoded = encode(tokenizer, TEXTS, pairs)
        return [None if a is None else a.tolist() for a in (encoded.ids, encoded.segments, encoded.offsets)]

    whole = [arrays(None), arrays(TEXTS[::-1])]
    monkeypatch.setattr("fastbert_core.tokens.STRETCH", 3)
    assert [arrays(None), arrays(TEXTS[::-1])] == whole


def test_no_texts(tokenizer):
    assert len(encode(tokenizer, [])) == 0


def test_collate_pads_to_the_longest(tokenizer):
    encoded = encode(tokenizer, TEXTS)
    batch = collate(encoded, np.array([2, 0]), pad_id=tokenizer.pad_token_id)
    assert batch.input_ids.shape == (2, 5)
    assert batch.mask.tolist() == [[True] * 3 + [False] * 2, [True] * 5]
    assert batch.input_ids[0, 3:].tolist() == [tokenizer.pad_token_id] * 2
    assert tokenizer.convert_ids_to_tokens(batch.input_ids[0, :3]) == ["[CLS]", "two", "[SEP]"]
    assert collate(encoded, np.array([2, 2]), 0).mask is None


def test_collate_of_pairs(tokenizer):
    encoded = encode(tokenizer, ["one", "one two"], ["two two", "three"])
    batch = collate(encoded, np.array([1, 0]), 0)
    assert batch.token_type_ids.tolist() == [[0, 0, 0, 0, 1, 1], [0, 0, 0, 1, 1, 1]]


@given(lengths_of_texts, st.integers(1, 40), st.integers(0, 3))
def test_an_epoch_holds_every_row_once(lengths, batch_size, epoch):
    batches = shuffled_batches(lengths, batch_size, seed=7, epoch=epoch)
    assert sorted(np.concatenate(batches)) == list(range(len(lengths)))
    assert max(len(rows) for rows in batches) <= batch_size
    assert len(batches) == -(-len(lengths) // batch_size)
    again = shuffled_batches(lengths, batch_size, seed=7, epoch=epoch)
    assert all(np.array_equal(a, b) for a, b in zip(batches, again, strict=True))


def test_epochs_and_seeds_shuffle_differently():
    lengths = np.arange(1, 101)
    pairs = ((7, 0), (7, 1), (8, 0))
    orders = [np.concatenate(shuffled_batches(lengths, 8, seed, epoch)).tolist() for seed, epoch in pairs]
    assert orders[0] != orders[1] != orders[2] != orders[0]


def test_length_buckets_save_padding():
    lengths = np.random.default_rng(0).integers(5, 128, 3200)
    padded = sum(len(rows) * lengths[rows].max() for rows in shuffled_batches(lengths, 32, 7, 0))
    assert padded < 1.06 * lengths.sum()


@given(lengths_of_texts, st.integers(1, 64), st.integers(128, 4096))
def test_sorted_batches_keep_their_bounds(lengths, max_batch, budget):
    batches = sorted_batches(lengths, max_batch, budget)
    assert sorted(np.concatenate(batches)) == list(range(len(lengths)))
    for rows in batches:
        assert len(rows) <= max_batch
        assert len(rows) * lengths[rows].max() <= budget


BERTWEET = {"vocab.txt": "one 1\n", "bpe.codes": "#version: 0.2\n"}
BERTWEET["tokenizer_config.json"] = '{"tokenizer_class": "BertweetTokenizer"}'


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "found no tokenizer"),
        ({"tokenizer.json": "{"}, "its tokenizer cannot be loaded"),
        (BERTWEET, "found BertweetTokenizer, written in Python, expected a fast tokenizer"),
    ],
)
def test_a_folder_without_a_fast_tokenizer_is_refused(tmp_path, files, message):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message):
        load_tokenizer(tmp_path)
