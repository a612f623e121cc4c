"""`python -m bench.rivals.authors MODEL SAMPLES OUTPUT SPEED`: the authors' package, fastbert==0.2.2, on our weights.

It runs in a process of its own, for importing the package makes a folder in the user's home and switches TLS checks
off; both are kept from happening. Its constructor downloads weights, so its modules are built here one by one, and our
weights put into them. Everything else is the package's own: one sample at a time, padded to 128 tokens, `_fast_infer`.
Each sample is timed once. The logits of a few are written too, so that their class probabilities can be held against
ours.

What is not the same: its LayerNorm divides by std + 1e-6, where std is the unbiased one. The factor sqrt(n / (n - 1))
goes into gamma; that its eps stands outside the root, and is 1e-6 and not 1e-12, remains: about 1e-6 of a value.
"""

import importlib
import os
import ssl
import sys
import tempfile
import time
from argparse import Namespace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from fastbert_core.arguments import ArgumentParser
from fastbert_core.encoding import Encoded
from fastbert_core.heads import Classifier
from fastbert_core.model import FastBertModel

VERSION = "0.2.2"
PADDED = 128  # its seq_length
MAX_POSITIONS = 512
LOGITS = 8  # samples whose logits are written


def main(arguments: list[str]) -> int:
    """Predict every sample at the speed; writes labels, exit layers, seconds, and all layers' logits of a few."""
    parser = ArgumentParser(prog="python -m bench.rivals.authors")
    for name, about in (
        ("model", "folder of a FastBERT"),
        ("samples", "npz of an Encoded"),
        ("output", "npz to write"),
    ):
        parser.add_argument(name, type=Path, help=about)
    parser.add_argument("speed", type=float)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of PyTorch")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    with np.load(options.samples, allow_pickle=False) as stored:
        encoded = Encoded(stored["ids"], None, stored["offsets"])
    rival = port(FastBertModel.from_pretrained(options.model).eval())
    rows = [encoded.ids[start:end].tolist() for start, end in zip(encoded.offsets, encoded.offsets[1:], strict=False)]
    rival._fast_infer(rows[0], options.speed)  # warms up
    labels, exits, seconds = [], [], []
    for row in rows:
        start = time.perf_counter()
        label, exit_layer = rival._fast_infer(row, options.speed)
        seconds.append(time.perf_counter() - start)
        labels.append(label)
        exits.append(exit_layer)
    logits = np.stack([every_layer(rival, row) for row in rows[:LOGITS]])
    np.savez(options.output, labels=labels, exit_layers=exits, seconds=seconds, logits=logits)
    return 0


def package() -> object:
    """The package's module fastbert.fastbert, imported without its side effects."""
    trusted, home = ssl._create_default_https_context, os.environ.get("HOME")
    with tempfile.TemporaryDirectory() as elsewhere:
        os.environ["HOME"] = elsewhere
        try:
            return importlib.import_module("fastbert.fastbert")
        finally:
            ssl._create_default_https_context = trusted
            os.environ.pop("HOME") if home is None else os.environ.update(HOME=home)


def port(model: FastBertModel) -> nn.Module:
    """The package's FastBERT with the weights of `model`, single texts, at PADDED tokens.

    It takes token ids where it would take a text, so that both read the same tokens: its own tokenizer puts no [SEP].
    """
    theirs = package()
    config = model.config.backbone_config
    args = Namespace(
        emb_size=config.hidden_size,
        hidden_size=config.hidden_size,
        feedforward_size=config.intermediate_size,
        heads_num=config.num_attention_heads,
        layers_num=config.num_hidden_layers,
        dropout=0.0,
        pooling="first",
        seq_length=PADDED,
        device=torch.device("cpu"),
    )
    rival = theirs.FastBERT.__new__(theirs.FastBERT)
    nn.Module.__init__(rival)
    rival.args, rival.labels_num = args, model.config.num_labels
    layers = importlib.import_module("uer.layers.embeddings"), importlib.import_module("uer.encoders.bert_encoder")
    rival.kernel = nn.Module()
    rival.kernel.embedding = layers[0].BertEmbedding(args, config.vocab_size)
    rival.kernel.encoder = layers[1].BertEncoder(args)
    rival.classifiers = nn.ModuleList(
        theirs.BertMiniClassifier(args, config.hidden_size, model.config.num_labels) for _ in model.classifiers
    )
    rival._convert_to_id_and_mask = _padded
    with torch.no_grad():
        _port_embedding(rival.kernel.embedding, model.backbone.embeddings)
        for layer, ours in zip(rival.kernel.encoder.transformer, model.backbone.encoder.layer, strict=True):
            _port_layer(layer, ours)
        for classifier, ours in zip(rival.classifiers, model.classifiers, strict=True):
            _port_classifier(classifier, ours)
    return rival.eval()


@torch.no_grad()
def every_layer(rival: nn.Module, ids: list[int]) -> np.ndarray:
    """Logits float32 [layers, classes] of one sample, without exits."""
    ids, mask = (torch.tensor([row]) for row in _padded(ids))
    hidden = rival.kernel.embedding(ids, mask)
    mask = rival._mask_transfer(mask, hidden)
    logits = []
    for layer, classifier in zip(rival.kernel.encoder.transformer, rival.classifiers, strict=True):
        hidden = layer(hidden, mask)
        logits.append(classifier(hidden, mask)[0])
    return torch.stack(logits).numpy()


def _padded(ids: list[int]) -> tuple[list[int], list[int]]:
    """What the package makes of a text: ids and mask, padded; the mask is its segments too."""
    more = PADDED - len(ids)
    return ids + [0] * more, [1] * len(ids) + [0] * more


def _port_embedding(theirs: nn.Module, ours: nn.Module) -> None:
    theirs.word_embedding.weight.copy_(ours.word_embeddings.weight)
    positions = ours.position_embeddings.weight[:MAX_POSITIONS]
    theirs.position_embedding.weight[: len(positions)] = positions
    # Three rows: padding, which the mask hides, then the first text and the second.
    theirs.segment_embedding.weight.zero_()
    segments = ours.token_type_embeddings.weight[:2]
    theirs.segment_embedding.weight[1 : 1 + len(segments)] = segments
    _port_norm(theirs.layer_norm, ours.LayerNorm)


def _port_layer(theirs: nn.Module, ours: nn.Module) -> None:
    attention = ours.attention.self
    for linear, source in zip(
        theirs.self_attn.linear_layers, (attention.query, attention.key, attention.value), strict=True
    ):
        _port_linear(linear, source)
    _port_linear(theirs.self_attn.final_linear, ours.attention.output.dense)
    _port_norm(theirs.layer_norm_1, ours.attention.output.LayerNorm)
    _port_linear(theirs.feed_forward.linear_1, ours.intermediate.dense)
    _port_linear(theirs.feed_forward.linear_2, ours.output.dense)
    _port_norm(theirs.layer_norm_2, ours.output.LayerNorm)


def _port_classifier(theirs: nn.Module, ours: Classifier) -> None:
    _port_linear(theirs.output_layer_0, ours.reduce)
    for linear, source in zip(theirs.self_atten.linear_layers, (ours.query, ours.key, ours.value), strict=True):
        _port_linear(linear, source)
    _port_linear(theirs.self_atten.final_linear, ours.mix)
    _port_linear(theirs.output_layer_1, ours.dense)
    _port_linear(theirs.output_layer_2, ours.output)


def _port_linear(theirs: nn.Linear, ours: nn.Linear) -> None:
    theirs.weight.copy_(ours.weight)
    theirs.bias.copy_(torch.zeros_like(theirs.bias) if ours.bias is None else ours.bias)


def _port_norm(theirs: nn.Module, ours: nn.LayerNorm) -> None:
    n = len(ours.weight)
    theirs.gamma.copy_(ours.weight * (n / (n - 1)) ** 0.5)
    theirs.beta.copy_(ours.bias)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
