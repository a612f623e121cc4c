import itertools

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import BertTokenizerFast, PreTrainedTokenizerFast

from fastbert_core.encoding import encode
from fastbert_core.errors import InputError
from fastbert_core.tokens import frame, plain

ENDS = {"cls_token": "<s>", "sep_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>", "mask_token": "<mask>"}
# What decides where a tokenizer splits, and what it drops, joins or takes whole.
PIECES = (*"one two Three, fourth 're 12345 ... 語 語語言 é [SEP] <mask> </s> 👍🏽 ﬁ İ".split(), "new york", "x" * 120)
PIECES += (" ", "  ", "\n", " " * 70, "\u200b", "\u0301", "e\u0301\u0323", "\x01", "\u3000")


def bert(strip_accents):
    characters = sorted({char for piece in PIECES for char in piece.lower() if char.isalnum()})
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "one", "two", "thr", "##ee", ",", ".", *characters]
    vocabulary = dict.fromkeys([*words, *(f"##{char}" for char in characters)])
    tokenizer = BertTokenizerFast({word: index for index, word in enumerate(vocabulary)}, strip_accents=strip_accents)
    tokenizer.add_tokens(["new york"])
    return tokenizer


def trained(model, trainer, pre_tokenizer, post_processor):
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.train_from_iterator(["".join(PIECES), " ".join(PIECES), "one two Three, fourth one two"] * 5, trainer)
    special = [(token, tokenizer.token_to_id(token)) for token in ("</s>", "<s>")]
    tokenizer.post_processor = post_processor(*special)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **ENDS)


def roberta(prefix_space):
    special = list(ENDS.values())
    trainer = trainers.BpeTrainer(vocab_size=320, special_tokens=special, show_progress=False)
    splitter = pre_tokenizers.ByteLevel(add_prefix_space=prefix_space)
    return trained(models.BPE(), trainer, splitter, processors.RobertaProcessing)


def unigram():
    trainer = trainers.UnigramTrainer(
        vocab_size=80, special_tokens=list(ENDS.values()), unk_token="<unk>", show_progress=False
    )

    def around(end, start):
        return processors.TemplateProcessing("<s> $A </s>", "<s> $A </s> </s> $B </s>", [end, start])

    return trained(models.Unigram(), trainer, pre_tokenizers.Metaspace(), around)


TOKENIZERS = {"bert": bert(None), "bert-cased": bert(False), "roberta": roberta(False), "prefix": roberta(True)}
TOKENIZERS["unigram"] = unigram()
text = st.lists(st.sampled_from(PIECES), max_size=80).map("".join) | st.sampled_from(PIECES).map(
    lambda x: (500 // len(x)) * x
)


@pytest.mark.parametrize("name", TOKENIZERS)
@given(
    margin=st.sampled_from([24, 128]),
    a=text,
    b=st.none() | text,
    max_tokens=st.integers(14, 60),
    side=st.sampled_from(["right", "right", "left"]),
)
@settings(max_examples=80)
def test_every_text_is_cut_where_its_tokenizer_cuts_it(name, margin, a, b, max_tokens, side):
    tokenizer = TOKENIZERS[name]
    tokenizer.truncation_side = side
    pairs = None if b is None else [b, a]
    given_texts = [a] if b is None else [a, b]
    if pairs and (room := max_tokens - frame(tokenizer, pair=True).special) % 2:  # who gets the last one
        assume(min(len(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in given_texts) <= room)
    expected = tokenizer(given_texts, pairs, truncation=True, max_length=max_tokens, return_token_type_ids=True)
    whole = tokenizer(given_texts, pairs)["input_ids"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fastbert_core.tokens.MARGIN", margin)
        found = encode(tokenizer, given_texts, pairs, max_tokens)
    bounds = found.offsets.tolist()
    rows = [slice(start, end) for start, end in itertools.pairwise(bounds)]
    assert [found.ids[row].tolist() for row in rows] == expected["input_ids"]
    if found.segments is None:
        assert not any(map(any, expected["token_type_ids"]))
    else:
        assert [found.segments[row].tolist() for row in rows] == expected["token_type_ids"]
    assert found.truncated.tolist() == [len(ids) > max_tokens for ids in whole]


class Counting:
    """A tokenizer's backend that counts the characters it is given."""

    def __init__(self, backend):
        self.backend, self.seen = backend, 0

    def __getattr__(self, name):
        return getattr(self.backend, name)

    def encode(self, text, **options):
        self.seen += len(text)
        return self.backend.encode(text, **options)

    def encode_batch(self, texts, **options):
        self.seen += sum(map(len, texts))
        return self.backend.encode_batch(texts, **options)


@pytest.fixture
def counted(monkeypatch):
    backend = Counting(TOKENIZERS["bert"].backend_tokenizer)
    monkeypatch.setattr("fastbert_core.tokens.plain", lambda tokenizer: plain(tokenizer) and backend)
    return backend


@pytest.fixture
def tokenizer():
    TOKENIZERS["bert"].truncation_side = "right"
    return TOKENIZERS["bert"]


def test_a_long_text_costs_what_is_kept_of_it(counted, tokenizer):
    encoded = encode(tokenizer, ["one two " * 100_000] * 10, max_tokens=128)
    assert encoded.lengths.tolist() == [128] * 10
    assert 10 * 128 <= counted.seen <= 10 * 8 * 128
    counted.seen = 0
    words = "語" * 800_000  # no spaces
    assert encode(tokenizer, [words], max_tokens=128).lengths == [128]
    assert 128 <= counted.seen <= 8 * 128


def test_two_long_texts_cost_what_is_kept_of_them_and_the_longer_keeps_one_more(counted, tokenizer):
    long, longer = "one two " * 20_000, "one two " * 20_001
    for first, second, kept in ((long, longer, [62, 63]), (longer, long, [63, 62]), (long, long, [62, 63])):
        segments = encode(tokenizer, [first], [second], max_tokens=128).segments
        assert [(segments == 0).sum() - 2, (segments == 1).sum() - 1] == kept
    assert 3 * 128 <= counted.seen <= 3 * 2 * 8 * 128


def test_a_word_without_end_is_read_in_windows_that_double(counted, tokenizer):
    assert encode(tokenizer, ["x" * 500_000 + " one"]).lengths == [4]  # [CLS] [UNK] one [SEP]
    assert 500_000 < counted.seen < 4 * 500_000


def test_settings_that_come_with_a_tokenizer_are_taken_away():
    tokenizer = bert(None)
    tokenizer.backend_tokenizer.enable_padding(length=100, pad_id=0, pad_token="[PAD]")
    tokenizer.backend_tokenizer.enable_truncation(5)
    assert encode(tokenizer, ["one two one two one two"]).lengths == [8]


@pytest.mark.parametrize(("pairs", "least", "special"), [(None, 3, 2), (["two"], 5, 3)])
def test_max_tokens_has_room_for_the_special_tokens_and_one_of_each_text(tokenizer, pairs, least, special):
    assert encode(tokenizer, ["one two"], pairs, least).lengths == [least]
    message = f"max_tokens: found {least - 1}, expected at least {least}: {special} special tokens and one of each text"
    with pytest.raises(InputError, match=message):
        encode(tokenizer, ["one two"], pairs, least - 1)


def test_a_sample_without_any_token_is_refused():
    tokenizer = bert(None)
    assert encode(tokenizer, ["one", "\u0301"]).lengths.tolist() == [3, 2]
    tokenizer.backend_tokenizer.post_processor = processors.ByteLevel()  # which adds no [CLS]
    with pytest.raises(InputError, match=r"texts: found no token in sample 2, '\u0301', expected at least one"):
        encode(tokenizer, ["one", "\u0301"])
