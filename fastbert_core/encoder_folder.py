"""Folders of pre-trained encoders: where one is found, what identifies it, what is refused, and a tiny random one."""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import (
    AutoConfig,
    AutoTokenizer,
    BertConfig,
    BertModel,
    BertTokenizerFast,
    PreTrainedConfig,
    PreTrainedTokenizerBase,
)

import fastbert_core.model  # noqa: F401 - by which transformers knows what a trained model's folder is
from fastbert_core.encoding import check_vocabulary
from fastbert_core.errors import InputError, reason, refused
from fastbert_core.files import atomic_files, sha256
from fastbert_core.flops import EncoderShape
from fastbert_core.loading import family_of, load_backbone
from fastbert_core.registry import did_you_mean

# What identifies the encoder in a Hugging Face folder: its weights, and all that says which tokens a text becomes.
WEIGHTS = ("config.json", "*.safetensors", "*.safetensors.index.json")
VOCABULARY = ("vocab.txt", "vocab.json", "merges.txt", "tokenizer.json")
CONTENT = (*WEIGHTS, *VOCABULARY, "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
# Of JSON files, what tells where or by which version they were written.
DESCRIPTIVE = ("_name_or_path", "name_or_path", "tokenizer_file", "special_tokens_map_file", "transformers_version")


@dataclass(frozen=True)
class Backbone:
    """An encoder at hand: `name` as results print it, `source` a local folder, `sha256` of its content."""

    name: str
    source: Path
    sha256: str


def load_tokenizer(source: str | Path) -> PreTrainedTokenizerBase:
    """The fast tokenizer of a backbone (folder or hub id). Raises InputError if there is none."""
    files = ("tokenizer.json", "vocab.txt", "vocab.json")
    if Path(source).is_dir() and not any((Path(source) / name).is_file() for name in files):
        # transformers 5 would hand back an empty tokenizer
        raise InputError(f"{source}: found no tokenizer, expected one of {', '.join(files)}")
    with refused(f"{source}: its tokenizer cannot be loaded (", "), expected what `save_pretrained` of one writes"):
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
    if not tokenizer.is_fast:
        raise InputError(f"{source}: found {type(tokenizer).__name__}, written in Python, expected a fast tokenizer")
    if tokenizer.cls_token_id is None or tokenizer.pad_token_id is None:
        raise InputError(f"{source}: found a tokenizer without [CLS] or [PAD], expected one with both")
    return tokenizer


def from_folder(folder: Path, name: str | None = None) -> Backbone:
    """The encoder in a Hugging Face folder. Raises InputError if the folder is not there or holds none."""
    if not os.path.isdir(folder):
        raise InputError(f"{folder}: no such backbone folder")
    if not (folder / "config.json").is_file():
        raise InputError(f"{folder}: found no config.json, expected a Hugging Face folder of an encoder")
    if not list(folder.glob("*.safetensors")):
        raise InputError(f"{folder}: found no .safetensors file, expected the encoder's weights")
    files = sorted({path for pattern in CONTENT for path in folder.glob(pattern)})
    return Backbone(name or folder.resolve().name, folder, _identity(files))


def _identity(files: Sequence[Path]) -> str:
    """SHA-256 over names and content of the files. JSON counts without its layout and what in it is DESCRIPTIVE."""
    digest = hashlib.sha256()
    for path in files:
        content = _json_sha256(path) if path.suffix == ".json" else sha256(path)
        digest.update(f"{content}  {path.name}\n".encode())
    return digest.hexdigest()


def _json_sha256(path: Path) -> str:
    with refused(f"{path}: found ", ", expected JSON", (ValueError, RecursionError)):
        table = json.loads(path.read_bytes())
    if isinstance(table, dict):
        table = {key: value for key, value in table.items() if key not in DESCRIPTIVE}
    return hashlib.sha256(json.dumps(table, sort_keys=True).encode()).hexdigest()


def read_shape(folder: Path) -> EncoderShape:
    """The sizes of the encoder in a Hugging Face folder. Raises InputError, naming the file, if it describes none."""
    config = _config(folder)
    try:
        return EncoderShape.from_config(config)
    except Exception as error:  # the sizes of an odd configuration may be anything
        path = folder / "config.json"
        raise InputError(f"{path}: found {reason(error)}, expected an encoder's configuration") from error


def check_encoder(folder: Path, pair: bool = False) -> EncoderShape:
    """The sizes of the encoder in a Hugging Face folder. Raises InputError unless a FastBERT can stand on it.

    It must be of one of FAMILIES and of two layers or more, with the weights of its config.json. The tokenizer there
    must put [CLS] where that family has it, before or after a text or a `pair` of texts, and have no token and no
    segment without an embedding.
    """
    config = _config(folder)
    family = family_of(config, folder)
    tokenizer = load_tokenizer(folder)
    check_vocabulary(tokenizer, config.vocab_size, folder)
    if family.padding(config) not in (None, tokenizer.pad_token_id):
        found = f"{folder}: found a tokenizer that pads with token {tokenizer.pad_token_id}"
        raise InputError(f"{found}, expected {family.padding(config)}, after which the encoder counts positions")
    output = tokenizer("a", "b" if pair else None, return_token_type_ids=True)
    ids = output["input_ids"]
    if (ids[:1] if family.cls_first else ids[-1:]) != [tokenizer.cls_token_id]:
        place = "before" if family.cls_first else "after"
        found = f"{folder}: found a tokenizer that puts no {tokenizer.cls_token} {place} a text"
        raise InputError(f"{found}, expected one that does, for the classifiers read that")
    segments = 1 + max(output["token_type_ids"])
    known = getattr(config, "type_vocab_size", 0)
    if segments > known > 1:  # an encoder of one segment, or of none, is asked for no other
        found = f"{folder}: found a tokenizer of {segments} segments"
        raise InputError(f"{found}, expected at most the encoder's {known}")
    load_backbone(folder)
    shape = read_shape(folder)
    if shape.layers < 2:
        raise InputError(f"{folder}: found an encoder of one layer, expected two or more")
    return shape


def _config(folder: Path) -> PreTrainedConfig:
    path = folder / "config.json"
    if not os.path.isfile(path):
        raise InputError(f"{folder}: found no config.json, expected a Hugging Face folder of an encoder")
    with refused(f"{path}: found ", ", expected an encoder's configuration"):
        return AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)


def from_hub(name: str, known: Sequence[str] = ()) -> Backbone:
    """The encoder of that hub id, fetched into the hub's own cache.

    Raises InputError if it cannot be had, which suggests the nearest of the names that are `known` beside the hub's.
    """
    from huggingface_hub import snapshot_download

    expected = f"expected a folder, or an encoder that the hub has{did_you_mean(name, known)}"
    with refused(f"backbone {name!r}: cannot be had from the hub (", f"), {expected}"):
        folder = snapshot_download(name, allow_patterns=[*CONTENT, "*.json"])
    return from_folder(Path(folder), name)


def tiny(folder: Path, texts: Sequence[str], layers: int = 12, hidden: int = 32) -> Backbone:
    """Write a random BERT and a tokenizer of the texts' own words to `folder`: quick, and good for nothing else.

    The vocabulary holds the 2000 commonest words (each Chinese character is a word) and every character. Equal
    arguments write equal files, each of which takes its place whole: another process may be reading them.
    """
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    splitter = BertTokenizerFast(vocab={token: index for index, token in enumerate(special)}).backend_tokenizer
    words = Counter()
    for text in texts:
        normal = splitter.normalizer.normalize_str(text)
        words.update(word for word, _ in splitter.pre_tokenizer.pre_tokenize_str(normal))
    common = sorted(words, key=lambda word: (-words[word], word))[:2000]
    characters = sorted(set("".join(words)))
    vocabulary = list(dict.fromkeys([*special, *common, *characters, *(f"##{c}" for c in characters)]))
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=2,
        intermediate_size=2 * hidden,
        max_position_embeddings=128,
        initializer_range=0.1,  # at BERT's 0.02 so narrow a model passes hardly any signal on
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        model = BertModel(config, add_pooling_layer=False)
    with atomic_files(folder) as temporary:
        BertTokenizerFast(vocab={token: index for index, token in enumerate(vocabulary)}).save_pretrained(temporary)
        model.save_pretrained(temporary)
    return from_folder(folder, f"random-bert-{layers}x{hidden}")
