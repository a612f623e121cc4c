"""A random model small enough for every test of the engine, and samples for it."""

import dataclasses
import itertools

import numpy as np
import torch
from transformers import AutoModel, BertConfig, BertTokenizerFast

from fastbert_core.agreement import TOLERANCE, disagreements
from fastbert_core.encoding import Encoded
from fastbert_core.loading import bare, family_of
from fastbert_core.metrics import judged
from fastbert_core.model import FastBertModel
from fastbert_core.trace import Trace
from fastbert_core.tracing import probabilities

WORDS = [f"word{number}" for number in range(100)]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
CLASSES = ["sport", "music", "law"]
LAYERS, LONGEST, PAD = 4, 44, 0


def random_model(backbone, classes, **task):
    """A FastBERT of random weights from a backbone's configuration, for a `task` as `from_backbone` takes it."""
    encoder = AutoModel.from_config(backbone, **bare(family_of(backbone, "backbone")))
    return FastBertModel._around(encoder, classes, **task)


def make_model(config=BertConfig, layers=LAYERS, classes=CLASSES, std=0.25, of_type=None, **more):
    """A random model whose uncertainties spread over [0, 1], so that samples leave at every layer."""
    torch.manual_seed(3)
    sizes = {
        "vocab_size": len(SPECIAL) + len(WORDS),
        "hidden_size": 16,
        "num_hidden_layers": layers,
        "num_attention_heads": 2,
        "intermediate_size": 24,
        "max_position_embeddings": LONGEST,
        "initializer_range": 0.25,
    }
    model = random_model(config(**sizes | more), classes, **(of_type or {}))
    torch.manual_seed(4)
    with torch.no_grad():
        for weights in model.classifiers.parameters():
            weights.normal_(std=std if weights.ndim > 1 else 0.02)
    return model


def make_tokenizer():
    """A tokenizer of WORDS."""
    return BertTokenizerFast(vocab={word: index for index, word in enumerate([*SPECIAL, *WORDS])})


def encoded_samples(lengths, seed=0):
    """Random token ids of the given lengths."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(len(SPECIAL), len(SPECIAL) + len(WORDS), sum(lengths)).astype(np.int32)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return Encoded(ids, None, offsets)


def varied(samples):
    return encoded_samples(np.random.default_rng(0).integers(2, LONGEST + 1, samples))


def texts_of(samples, seed=0):
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, rng.integers(1, 20))) for _ in range(samples)]


def trace_of(model, encoded, batch_size=64, logsumexp=False):
    p = probabilities(model, encoded, PAD, batch_size=batch_size)
    layers = list(range(1, model.layers + 1))
    scale = None
    if logsumexp:
        with torch.inference_mode():
            texts = [torch.tensor(encoded.ids[a:b], dtype=torch.long) for a, b in itertools.pairwise(encoded.offsets)]
            scale = torch.cat([model.eval().exit_logits(text[None]).logsumexp(dim=-1) for text in texts]).numpy()
    return Trace(p, np.zeros(len(p), np.int64), encoded.lengths, {"layers": layers}, scale)


def assert_agrees(trace, found, speed, max_layers=None, rule="entropy", tolerance=TOLERANCE):
    """Up to the layer that is the engine's last, where it is not the encoder's; within what a file is kept to."""
    metadata = trace.metadata | {"layers": trace.metadata["layers"][:max_layers]}
    trace = dataclasses.replace(trace, probabilities=trace.probabilities[:, :max_layers], metadata=metadata)
    broken, excused = disagreements(trace, found.labels, found.exit_layers, speed, rule, tolerance)
    assert broken.size == 0
    assert excused.size <= max(1, len(trace) // 1000)
    at_exit = judged(trace, rule)[0][np.arange(len(found)), found.exit_layers - 1]
    assert np.abs(found.uncertainties - at_exit).max(initial=0) < max(1e-4, 2 * tolerance)


def found_at_three_thresholds(engine, encoded, trace, rule):
    """What the engine finds at a low, a middle and a high threshold of a fitted rule, each as the trace says."""
    scores = judged(trace, rule)[0]
    # Between scores, of which some rules have few, and none that no threshold exceeds.
    every = np.unique(scores[:, :-1][scores[:, :-1] < 1].round(4)) + 5e-4
    every = every if len(every) else np.array([0.5])  # of four layers, three changes leave nothing to leave at
    for threshold, batch_size in ((every[0], 16), (every[len(every) // 2], 16), (every[-1].clip(max=1), 1)):
        found = engine.predict(encoded, float(threshold), batch_size=batch_size, rule=rule)
        assert_agrees(trace, found, threshold, rule=rule)
        yield found
