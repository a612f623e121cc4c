"""Pre-trained encoders: where one is found, what identifies it, and a tiny random one for tests."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import AutoConfig, BertConfig, BertModel, BertTokenizerFast

from fastbert_core.encoding import check_vocabulary, load_tokenizer
from fastbert_core.errors import InputError, reason
from fastbert_core.files import atomic_files, sha256
from fastbert_core.flops import EncoderShape
from fastbert_core.model import bert_family

# What identifies the encoder in a Hugging Face folder; tokenizer_config.json, which may say how its tokenizer treats
# capitals, does not.
WEIGHTS = ("config.json", "*.safetensors", "*.safetensors.index.json")
CONTENT = (*WEIGHTS, "vocab.txt", "vocab.json", "merges.txt", "tokenizer.json")


@dataclass(frozen=True)
class Backbone:
    """An encoder at hand: `name` as results print it, `source` a local folder, `sha256` of its content."""

    name: str
    source: Path
    sha256: str


def from_folder(folder: Path, name: str | None = None) -> Backbone:
    """The encoder in a Hugging Face folder. Raises InputError if the folder is not there or holds none."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such backbone folder")
    if not (folder / "config.json").is_file():
        raise InputError(f"{folder}: found no config.json, expected a Hugging Face folder of a BERT-family encoder")
    if not list(folder.glob("*.safetensors")):
        raise InputError(f"{folder}: found no .safetensors file, expected the encoder's weights")
    files = sorted({path for pattern in CONTENT for path in folder.glob(pattern)})
    return Backbone(name or folder.resolve().name, folder, sha256(*files))


def read_shape(folder: Path) -> EncoderShape:
    """The sizes of the encoder in a Hugging Face folder. Raises InputError, naming the file, if it describes none."""
    path = folder / "config.json"
    if not os.path.isfile(path):
        raise InputError(f"{folder}: found no config.json, expected a Hugging Face folder of an encoder")
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        return EncoderShape.from_config(config)
    except Exception as error:  # what transformers makes of an odd configuration shares no base class
        raise InputError(f"{path}: found {reason(error)}, expected an encoder's configuration") from error


def check_encoder(folder: Path) -> None:
    """Raise InputError unless a FastBERT can stand on the encoder in a Hugging Face folder.

    It must be of the BERT family, and have an embedding for every token of the tokenizer there.
    """
    config = bert_family(AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False), folder)
    check_vocabulary(load_tokenizer(folder), config.vocab_size, folder)


def from_hub(name: str) -> Backbone:
    """The encoder of that hub id, fetched into the hub's own cache. Raises InputError if it cannot be had."""
    from huggingface_hub import snapshot_download

    try:
        folder = snapshot_download(name, allow_patterns=[*CONTENT, "*.json"])
    except Exception as error:  # the hub client's errors share no base class
        raise InputError(f"backbone {name!r}: cannot be had from the hub: {reason(error)}") from error
    return from_folder(Path(folder), name)


def tiny(folder: Path, texts: Sequence[str], layers: int = 12, hidden: int = 32, seed: int = 7) -> Backbone:
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
        torch.manual_seed(seed)
        model = BertModel(config, add_pooling_layer=False)
    with atomic_files(folder) as temporary:
        BertTokenizerFast(vocab={token: index for index, token in enumerate(vocabulary)}).save_pretrained(temporary)
        model.save_pretrained(temporary)
    return from_folder(folder, f"random-bert-{layers}x{hidden}")
