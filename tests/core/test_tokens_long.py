import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import BertTokenizerFast, PreTrainedTokenizerFast

from fastbert_core.encoding import encode

ENDS = {"cls_token": "<s>", "sep_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>", "mask_token": "<mask>"}
# What decides where a tokenizer splits, and what it drops, joins or takes whole.
PIECES = (
    "one",
    "two",
    "Three,",
    "fourth",
    " ",
    "  ",
    "\n",
    " " * 70,
    "'re",
    "12345",
    "...",
    "x" * 120,
    "語",
    "語語言",
    "é",
)
PIECES += (
    "\u200b",
    "\u0301",
    "e\u0301\u0323",
    "\x01",
    "[SEP]",
    "<mask>",
    "</s>",
    "new york",
    "\u3000",
    "👍🏽",
    "ﬁ",
    "İ",
)


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
text = st.lists(st.sampled_from(PIECES), max_size=120).map("".join) | st.sampled_from(PIECES).map(lambda x: 700 * x)


@pytest.mark.parametrize("name", TOKENIZERS)
@pytest.mark.parametrize("margin", [24, 128])
@given(a=text, b=st.none() | text, max_tokens=st.integers(6, 60), side=st.sampled_from(["right", "right", "left"]))
@settings(max_examples=2500, deadline=None)
def test_every_text_is_cut_where_its_tokenizer_cuts_it(name, margin, a, b, max_tokens, side):
    tokenizer = TOKENIZERS[name]
    tokenizer.truncation_side = side
    pairs = None if b is None else [b, a]
    given_texts = [a] if b is None else [a, b]
    expected = tokenizer(given_texts, pairs, truncation=True, max_length=max_tokens, return_token_type_ids=True)
    whole = tokenizer(given_texts, pairs)["input_ids"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fastbert_core.tokens.MARGIN", margin)
        found = encode(tokenizer, given_texts, pairs, max_tokens)
    bounds = found.offsets.tolist()
    rows = [slice(start, end) for start, end in itertools.pairwise(bounds)]
    assert [found.ids[row].tolist() for row in rows] == expected["input_ids"]
    if b is not None:
        assert [found.segments[row].tolist() for row in rows] == expected["token_type_ids"]
    assert found.truncated.tolist() == [len(ids) > max_tokens for ids in whole]
