"""Whole results folders: odd but sound traces are measured, and unsound ones are refused before anything is written."""

import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastbert_core.trace import Trace
from plots import cli as plots_cli
from plots import gallery
from plots.registry import FIGURES
from reproductions.measure import measure
from reproductions.paper_rows import Paper
from reproductions.tables import read_table, table_path
from tests.factories import make_trace, store
from tests.fuzz.harness import fuzz

PAPER = Paper.load({"dbpedia"})  # slow to make, and the same for all


@st.composite
def odd_traces(draw):
    """Traces of one task that keep every promise, and yet are unlike any that a model leaves."""
    task, samples = draw(st.sampled_from(("dbpedia", "mine"))), draw(st.sampled_from((1, 2, 5)))
    layers, classes = draw(st.sampled_from((1, 2, 12))), draw(st.sampled_from((2, 14)))
    encoder = {"layers": layers, "hidden": 8, "intermediate": 16, "heads": 2}
    kinds = draw(
        st.lists(st.sampled_from(("labels", "dev", "seed", "student", "epoch", "other")), unique=True, max_size=3)
    )
    shared = {"samples": samples, "classes": classes, "task": task, "encoder": encoder}
    traces = [make_trace(**shared)]
    more = {
        "labels": {"training": "labels"},
        "dev": {"split": "dev"},
        "seed": {"seed": 8},
        "student": {"training": f"distilbert-{layers}", "layers": [layers]},
        "epoch": {"split": "dev", "epoch": 0, "stage": "self-distillation"},
        "other": {"task": "other", "samples": 3},
    }
    traces += [make_trace(**shared | more[kind]) for kind in kinds]
    one_class = draw(st.booleans())
    return [_changed(draw, trace, one_class) for trace in traces]


def _changed(draw, trace, one_class):
    p, labels, tokens = trace.probabilities.copy(), trace.labels * (not one_class), trace.tokens.copy()
    kind = draw(st.sampled_from(("as it is", "sure", "unsure", "wrong", "long", "short", "ties")))
    if kind == "sure":
        p = np.eye(p.shape[2], dtype=np.float32)[p.argmax(-1)]
    elif kind == "unsure":
        p[:] = 1 / p.shape[2]
    elif kind == "wrong":
        p = np.eye(p.shape[2], dtype=np.float32)[(labels + 1) % p.shape[2], None].repeat(p.shape[1], axis=1)
    elif kind == "ties":
        p[:, :, :] = 0
        p[:, :, :2] = 0.5
    else:
        tokens[:] = {"long": 512, "short": 1}.get(kind, 20)
    return Trace(p, labels, tokens, trace.metadata)


@pytest.fixture
def paper(monkeypatch):
    monkeypatch.setattr(Paper, "load", lambda tasks: PAPER)


@given(odd_traces())
@fuzz(5)
def test_odd_traces(tmp_path, paper, traces):
    folder = tmp_path / "standard"
    shutil.rmtree(folder, ignore_errors=True)
    store(folder, traces)
    measure(folder)
    assert table_path(folder, "speed_accuracy").is_file()
    rows = read_table(folder, "speed_accuracy").set_index(["task", "model", "speed"])
    for trace in traces:
        key = (trace.metadata["task"], "FastBERT", 0.0)
        alone = [t for t in traces if t.metadata["task"] == trace.metadata["task"]]
        if trace.metadata["training"] == "self-distillation" and trace.metadata["split"] == "test" and len(alone) == 1:
            assert rows.loc[key, "accuracy"] == pytest.approx(100 * trace.correct[:, -1].mean(), abs=0.005)
            assert rows.loc[key, "mean_layers"] == len(trace.metadata["layers"])


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A measured folder of one task: name -> text of each of its tables."""
    encoder = {"layers": 3, "hidden": 8, "intermediate": 16, "heads": 2}
    shared = {"samples": 12, "task": "mine", "encoder": encoder}
    epochs = [make_trace(split="dev", epoch=k, stage="self-distillation", **shared) for k in (1, 2)]
    folder = store(tmp_path_factory.mktemp("measured") / "standard", [make_trace(**shared), *epochs])
    measure(folder)
    return folder


@given(st.data())
@fuzz(8)
def test_figures_of_incomplete_tables(measured, tmp_path, monkeypatch, capsys, data):
    drawn = [name for name in FIGURES if all(table_path(measured, table).is_file() for table in FIGURES[name].tables)]
    name = data.draw(st.sampled_from(sorted(set(drawn) - {"ablation"})))
    monkeypatch.setattr(gallery, "FIGURES", {name: FIGURES[name]})
    folder = tmp_path / "standard"
    shutil.copytree(measured, folder, dirs_exist_ok=True)
    path = table_path(folder, data.draw(st.sampled_from(("runs", *FIGURES[name].tables))))
    header, *lines = path.read_text().splitlines(keepends=True)
    kept = data.draw(st.lists(st.sampled_from(lines), unique=True, max_size=3))
    path.write_text(header + "".join(sorted(kept, key=lines.index)))
    capsys.readouterr()
    code = plots_cli.main(["--results-dir", str(tmp_path)])
    captured = capsys.readouterr()
    assert code == bool(captured.err)
    assert len(captured.err.splitlines()) == code
    assert not captured.err or (captured.err.startswith(f"error: not drawn: {name}: ") and ".csv" in captured.err)
    assert code or list(folder.rglob(f"figures/**/{name}.svg"))
