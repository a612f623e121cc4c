"""A backlog on a cluster: what one process predicts, text by text, in order; and a job that goes on."""

import json
import os

import pandas as pd
import pytest
from pyarrow import parquet

from tests.core.small import make_model, make_tokenizer, texts_of
from tests.scale.conftest import command

TEXTS = int(os.environ.get("FASTBERT_TEST_TEXTS", "6000"))
SPEED = ("--speed", "0.5")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    make_model().save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    """Files of three kinds."""
    folder, texts = tmp_path_factory.mktemp("texts"), texts_of(TEXTS)
    first, second = TEXTS // 2, 4 * TEXTS // 5
    (folder / "a.txt").write_text("\n".join(texts[:first]) + "\n")
    (folder / "b.jsonl").write_text(
        "".join(json.dumps({"id": at, "text": t}) + "\n" for at, t in enumerate(texts[first:second]))
    )
    pd.DataFrame({"text": texts[second:]}).to_parquet(folder / "c.parquet")
    return folder


def predict(model, texts, out, cluster, *more):
    return command("-m", "fastbert_core", "predict", model, texts, "--cluster", cluster, "--out", out, *SPEED, *more)


def test_labels_and_exits_are_those_of_one_process_and_a_job_goes_on(cluster, model, texts, tmp_path):
    out = tmp_path / "out"
    done = predict(model, texts, out, cluster, "--probabilities")
    assert done.code == 0, done.err
    count = 0
    for path in sorted(texts.iterdir()):
        alone = command("-m", "fastbert_core", "predict", model, path, *SPEED)
        expected = pd.DataFrame(map(json.loads, alone.out.splitlines()))
        found = pd.read_parquet(out / f"{path.name.removesuffix('.parquet')}.parquet")
        assert found["key"].tolist() == list(range(1, len(expected) + 1))
        assert found["label"].tolist() == expected["label"].tolist()
        assert found["exit_layer"].tolist() == expected["exit_layer"].tolist()
        assert found["uncertainty"].round(6).tolist() == expected["uncertainty"].tolist()
        assert all(abs(sum(p) - 1) < 1e-5 for p in found["probabilities"])
        count += len(found)
    assert count == TEXTS
    told = done.err.splitlines()[-1]
    assert told.startswith(f"{TEXTS} texts in ")
    layers = [pd.read_parquet(path)["exit_layer"] for path in out.glob("*.parquet")]
    counts = pd.concat(layers).value_counts().sort_index()
    assert told.endswith("texts by exit layer: " + ", ".join(f"{layer}: {n}" for layer, n in counts.items()))

    # Gone on with: files that are there stay as they are, what was half written goes, the others come.
    (out / "b.jsonl.parquet").unlink()
    (out / ".b.jsonl.parquet.x.partial").write_bytes(b"PAR1")
    kept = {path.name: path.stat().st_mtime_ns for path in out.glob("*.parquet")}
    again = predict(model, texts, out, cluster, "--probabilities", "--workers", 1)
    assert again.code == 0, again.err
    assert "2 of 3 files are done already, skipped" in again.err
    assert {name: (out / name).stat().st_mtime_ns for name in kept} == kept
    assert parquet.read_metadata(out / "b.jsonl.parquet").num_rows == 4 * TEXTS // 5 - TEXTS // 2
    assert not list(out.glob(".*"))

    reduced = predict(model, texts, tmp_path / "int8", cluster, "--precision", "int8")
    assert reduced.code == 0, reduced.err
    fp32, int8 = (pd.read_parquet(folder / "c.parquet")["uncertainty"] for folder in (out, tmp_path / "int8"))
    assert 0 < (fp32 - int8).abs().median() < 0.1  # of some, which leave elsewhere, it is another layer's

    other = predict(model, texts, out, cluster)
    assert other.code == 2
    assert "job.json: found another probabilities, True, expected False; --out names a new folder" in other.err


def test_a_url_is_read_like_a_file(cluster, model, texts, tmp_path):
    done = predict(model, f"file://{texts}/c.parquet", tmp_path / "out", cluster, "--workers", 1)
    assert done.code == 0, done.err
    assert parquet.read_metadata(tmp_path / "out" / "c.parquet").num_rows == TEXTS - 4 * TEXTS // 5


def test_bad_input_is_one_line_and_keeps_the_files_that_were_done(cluster, model, texts, tmp_path):
    (folder := tmp_path / "in").mkdir()
    (folder / "a.txt").write_text("word1 word2\nword3\n")
    (folder / "b.jsonl").write_text('{"text": "word1"}\n{"text": ""}\n')
    done = predict(model, folder, tmp_path / "out", cluster)
    assert done.code == 2
    last = done.err.splitlines()[-1]
    assert last == f"error: {folder}/b.jsonl:2: found an empty text, expected a visible character; delete the row"
    assert [path.name for path in (tmp_path / "out").glob("*.parquet")] == ["a.txt.parquet"]

    none = predict(model, tmp_path / "none.txt", tmp_path / "out2", cluster)
    assert (none.code, none.err.splitlines()[-1].partition(": found")[2][:13]) == (2, " no such file")
    many = predict(model, folder, tmp_path / "out2", cluster, "--workers", 9)
    assert many.code == 2
    assert many.err.splitlines()[-1] == "error: --workers: found room for 2 engines of 1 CPUs, expected it for 9"
