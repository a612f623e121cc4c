"""What the paper's unit hides before any sample exits: how long a task's texts really are, and what padding costs."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from fastbert_core.data import TaskData
from fastbert_core.encoder_folder import Backbone, read_shape
from fastbert_core.encoding import encode, load_tokenizer
from fastbert_core.flops import PAPER_TOKENS, dense_flops, dense_true_macs, paper_flops, true_macs
from reproductions.tables import read_or_empty, write_table

# The depths of table 3, and the shallowest.
EXIT_LAYERS = (1, 2, 6)


def padding(data: TaskData, backbone: Backbone) -> pd.DataFrame:
    """Rows of `padding.csv` for one task: a row for each of EXIT_LAYERS, as if every test sample left there.

    `speedup` is in the paper's unit, `true_speedup` in true MACs at the real token counts, each over the dense
    model on the same texts.
    """
    tokens = encode(load_tokenizer(backbone.source), data.test.texts, data.test.pairs, PAPER_TOKENS).lengths
    shape, classes = read_shape(backbone.source), len(data.task.classes)
    dense = int(dense_true_macs(shape, tokens, classes).sum())
    common = {
        "task": data.task.name,
        "backbone": backbone.name,
        "backbone_sha256": backbone.sha256,
        "data_source": data.source,
        "data_sha256": data.sha256,
        "test_rows": len(tokens),
        "mean_tokens": tokens.mean(),
        "padded_percent": 100 * (1 - tokens.mean() / PAPER_TOKENS),
        "at_limit_percent": 100 * (tokens == PAPER_TOKENS).mean(),
        "dense_true_mmacs": dense / len(tokens) / 1e6,
        "dense_padded_mmacs": dense_true_macs(shape, PAPER_TOKENS, classes) / 1e6,
    }
    rows = []
    for layer in (layer for layer in EXIT_LAYERS if layer <= shape.layers):
        executed = int(true_macs(shape, np.full(len(tokens), layer), tokens, classes).sum())
        speedup = dense_flops(shape) / paper_flops(shape, layer)
        rows.append(common | {"exit_layer": layer, "speedup": speedup, "true_speedup": dense / executed})
    return pd.DataFrame(rows)


def record_padding(results_dir: Path, tables: Sequence[pd.DataFrame]) -> Path:
    """Put the rows of these tasks into `padding.csv`, in the place of their earlier ones."""
    old, new = read_or_empty(results_dir, "padding"), pd.concat(tables)
    kept = old[~old["task"].isin(new["task"])]
    return write_table(results_dir, "padding", pd.concat([kept, new]) if len(kept) else new)
