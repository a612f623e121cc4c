"""The command `fastbert`, from a CSV to predictions, and what it does with bad input and readers that leave."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import shtab

from fastbert_core import classifier, cli, commands, predicting, show
from fastbert_core.model_card import model_card
from fastbert_core.operating_points import load_points

ROOT = Path(__file__).parents[2]
GOOD, BAD = ["great", "lovely", "fine", "warm"], ["dull", "poor", "weak", "awful"]
OTHER = ["the", "film", "plot", "actor", "and", "a"]
QUICK = ("--backbone", "tiny", "--precision", "fp32", "--epochs", "4", "--rate", "0.004")
QUICK += ("--student-epochs", "3", "--student-rate", "0.01")


def write_reviews(path, rows=240, seed=1):
    """A CSV with string labels, some of them missing, and a column that is nobody's business."""
    rng, lines = random.Random(seed), ["review,sentiment,stars"]
    for at in range(rows):
        good = rng.random() < 0.5
        words = rng.choices(OTHER, k=6) + rng.choices(GOOD if good else BAD, k=3)
        label = "" if at % 12 == 0 else "positive" if good else "negative"
        lines.append(f'"{" ".join(words)}, ""{at}""",{label},{rng.randint(1, 5)}')
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a CSV and the model that `fastbert train` made of it."""
    folder = tmp_path_factory.mktemp("stranger")
    write_reviews(folder / "reviews.csv")
    (folder / "texts.txt").write_text("a great lovely film\nthe dull awful plot\n")
    (folder / "unlabelled.csv").write_text("review,sentiment\na lovely film,\nthe dull plot,\n")
    assert cli.main(["train", str(folder / "reviews.csv"), "--out", str(folder / "model"), *QUICK]) == 0
    own = shutil.ignore_patterns("training.json", "operating_points.json", "README.md")
    shutil.copytree(folder / "model", folder / "suite", ignore=own)  # as the suite makes models
    return folder


def run(capsys, *words):
    code = cli.main([str(word) for word in words])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_from_a_csv_to_predictions(trained, capsys):
    model = trained / "model"
    files = {path.name for path in model.iterdir()}
    assert files >= {"model.safetensors", "config.json", "tokenizer.json", "operating_points.json", "README.md"}
    assert [path.name for path in trained.iterdir() if path.name.startswith(".")] == []

    code, out, _ = run(capsys, "show", model, "--json")
    record = json.loads(out)
    assert code == 0
    assert record["classes"] == ["negative", "positive"]
    assert record["rows"]["unlabelled"] == 16
    assert [row["asked"] for row in record["operating_points"]][:2] == ["full model", "1.5x faster"]

    new, plot = write_reviews(trained / "new.csv", seed=2), trained / "curve.png"
    code, out, _ = run(capsys, "evaluate", model, new, "--json", "--rules", "--plot", plot)
    assert plot.read_bytes().startswith(b"\x89PNG")
    tables = json.loads(out)
    full = tables["points"][0]
    assert (code, tables["rows"]) == (0, 220)
    assert full["accuracy"] > 90
    assert full["accuracy_interval"][0] < full["accuracy"] < full["accuracy_interval"][1] + 1e-9
    assert {row["class"]: row["rows"] for row in tables["classes"]}.keys() == {"negative", "positive"}
    entropy = next(row for row in tables["rules"] if row["rule"] == "entropy")
    assert list(entropy)[:3] == ["rule", "2x", "2x_lost_interval"]

    texts = trained / "texts.txt"
    code, out, err = run(capsys, "predict", model, texts, "--speedup", "1.5", "--probabilities")
    lines = [json.loads(line) for line in out.splitlines()]
    assert (code, [line["label"] for line in lines]) == (0, ["positive", "negative"])
    assert list(lines[0]) == ["label", "exit_layer", "uncertainty", "truncated", "probabilities"]
    assert sum(lines[0]["probabilities"].values()) == pytest.approx(1, abs=1e-4)
    assert err.startswith("2 texts in ")

    code, out, err = run(capsys, "predict", model, texts)
    assert (code, [json.loads(line)["exit_layer"] for line in out.splitlines()]) == (0, [4, 4])
    assert (
        "\nwarning: 26 calibration rows certify no max_disagreement of 0.01, so all layers run; try --speedup 2\n"
        in err
    )

    before = (model / "operating_points.json").read_text()
    code, out, err = run(capsys, "calibrate", model, "--texts", trained / "new.csv")
    assert "at most 0.5% differ: never exits: 240 calibration rows, of which it takes 460 or more" in out
    after = json.loads((model / "operating_points.json").read_text())
    assert code == 0
    assert after["rows"] == 240 != json.loads(before)["rows"]
    assert "2x faster" in out
    assert "240 the thresholds" in (model / "README.md").read_text(encoding="utf-8")
    assert re.search(r"^fastest precision on this machine: \w+, [\d.]+ times fp32, with its label", err, re.MULTILINE)
    assert (model / "precisions.json").is_file()
    assert run(capsys, "predict", model, texts, "--speed", "0.5", "--precision", "fastest")[0] == 0

    code, out, _ = run(capsys, "calibrate", model, "--texts", trained / "new.csv", "--seconds", "--json")
    assert (code, {row["unit"] for row in json.loads(out)}) == (0, {"seconds"})


def test_the_card_names_data_and_points_and_its_python_runs(trained, monkeypatch, capsys):
    card = (trained / "model" / "README.md").read_text(encoding="utf-8")
    assert card.startswith("---\nlibrary_name: fastbert-core\n")
    assert "# reviews.csv: texts to 2 classes" in card
    assert str(trained) not in card + (trained / "model" / "training.json").read_text()
    monkeypatch.chdir(trained)
    exec(code_of(card), {})
    assert "Prediction(label=" in capsys.readouterr().out


def code_of(card):
    return card.partition("```python\n")[2].partition("```")[0]


def test_the_python_of_a_card_of_pairs_runs(trained, tmp_path, monkeypatch, capsys):
    folder = shutil.copytree(trained / "model", tmp_path / "model")
    for path in (folder / "config.json", folder / "training.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"pair": True}))
    card = model_card(show.read_record(folder), load_points(folder / "operating_points.json"))
    monkeypatch.chdir(tmp_path)
    exec(code_of(card), {})
    assert "Prediction(label=" in capsys.readouterr().out


FAULTS = [
    (["train", "none.csv", "--out", "m"], "none.csv: no such file or folder"),
    (["train", "reviews.csv", "--out", "model", *QUICK], "model: found a trained model.*--replace"),
    (["train", "reviews.csv", "--out", "m", "--training", "pkd", *QUICK], "training: found 'pkd'"),
    (["train", "reviews.csv", "--out", "m", *QUICK, "--training", "imitation"], "without a classifier"),
    (["train", "reviews.csv", "--out", "m", "--backbone", "model"], "model: found a trained FastBERT, expected an"),
    (["evaluate", "model", "unlabelled.csv"], "unlabelled.csv: found no labels, expected some to evaluate by"),
    (["evaluate", "model", "texts.txt"], r"texts.txt: found .*, expected one that holds the class, such as label$"),
    (["calibrate", "model", "--texts", "reviews.csv"], "reviews.csv: found the rows that the model was trained on"),
    (["train", "reviews.csv", "--out", "m", *QUICK, "--test", "reviews.csv"], "whose texts stand in test too"),
    (["train", "reviews.csv", "--out", "m", *QUICK, "--dev", "reviews.csv"], "0 held-out rows beside 240 whose texts"),
    (
        ["train", "reviews.csv", "--out", "m", *QUICK, "--max-tokens", "900"],
        "max_tokens: found 900, expected 128 at most",
    ),
    (["train", "reviews.csv", "--out", "m", *QUICK, "--epochs", "0"], "--epochs: found '0', expected a whole number"),
    (["train", "reviews.csv", "--out", "m", *QUICK, "--seed", "-1"], "seed: found -1, expected an integer from 0"),
    (["train", "reviews.csv", "--out", "suite", *QUICK], "suite: found a model without training.json, not made by"),
    (["train", "reviews.csv", "--out", ".", *QUICK], r"\.: found the current folder"),
    (
        ["train", "reuters-r8", "--out", "m", "--test", "reviews.csv"],
        "test: found it with the task reuters-r8, expected",
    ),
    (
        ["train", "reviews.csv", "--out", "m", "--classifier", "model"],
        "model: found FastBertModel, expected a model for",
    ),
    (["predict", "nobody", "reviews.csv"], "nobody: no such folder"),
    (["calibrate", "model", "--texts", "reviews.csv", "--label", "stars"], "reviews.csv:2: found the label"),
    (["predict", "model", "reviews.csv", "--pair", "stars"], "found pairs, expected single texts; --text COLUMN names"),
    (["evaluate", "model", "reviews.csv", "--plot", "curve.bmp"], "--plot: found 'curve.bmp', expected a name that"),
    (["predict", "model", "reviews.csv", "--device", "mps"], "device: found 'mps', expected auto, cpu, cuda or cuda:N"),
    (["predict", "model", "reviews.csv", "--device", "cuda:1", "--cluster", "auto", "--out", "o"], "'cuda:1' with"),
    (["show", "."], r"\.: found no config.json, expected a trained model's folder"),
    (["frobnicate"], "invalid choice: 'frobnicate'"),
]


@pytest.mark.parametrize(("words", "message"), FAULTS)
def test_bad_input_is_one_line_and_writes_nothing(trained, words, message, monkeypatch, capsys):
    monkeypatch.chdir(trained)
    before = {path: path.stat().st_mtime_ns for path in trained.rglob("*")}
    try:
        code = cli.main(words)
    except SystemExit as stop:  # argparse's
        code = stop.code
    said = capsys.readouterr()
    (line,) = said.err.splitlines()
    assert (code, said.out) == (2, "")
    assert line.startswith("error: ")
    assert re.search(message, line), line
    assert {path: path.stat().st_mtime_ns for path in trained.rglob("*")} == before


def test_a_model_without_a_record_is_told_by_its_configuration(trained, capsys):
    code, out, _ = run(capsys, "show", trained / "suite")
    first, second, third, last = out.splitlines()
    assert (code, first) == (0, f"{trained / 'suite'}: 2 classes: negative, positive")
    assert re.fullmatch(r"bert, 4 layers of 32, at most 128 tokens; [\d,]+ parameters", second)
    assert (third, last[:19]) == ("no training.json, which would say where it came from", "no operating points")
    told = json.loads(run(capsys, "show", trained / "suite", "--json")[1])
    assert told["parameters"] == int(re.search(r"([\d,]+) parameters", second)[1].replace(",", ""))


def test_a_model_without_operating_points_is_evaluated_whole(trained, capsys):
    code, out, _ = run(capsys, "evaluate", trained / "suite", trained / "reviews.csv")
    assert code == 0
    assert re.match(r"220 rows; .*\n.*% sure on average\n\npoint .*\nfull model .*\n\nclass .*\nneg.*\npositive ", out)
    assert out.endswith(f"\nno operating points; next: fastbert calibrate {trained / 'suite'} --texts FILE\n")


@pytest.mark.parametrize(
    ("words", "wanted", "batch_size"),
    [
        ([], {"max_disagreement": 0.01}, None),
        (["--budget", "2.5", "--batch-size", "8"], {"budget": 2.5}, 8),
        (["--layers-per-second", "600", "--batch-size", "1"], {"layers_per_second": 600.0}, 1),
    ],
)
def test_predict_asks_for_what_its_options_say(trained, words, wanted, batch_size, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(predicting, "predict", lambda engine, texts, *rest: asked.append((rest[0], rest[2])))
    assert run(capsys, "predict", trained / "model", "texts.txt", *words)[0] == 0
    assert asked == [(wanted, batch_size)]


def test_train_hands_its_options_on_and_prints_the_record(monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(classifier, "train_classifier", lambda **given: asked.append(given) or {"folder": "m"})
    code, out, _ = run(capsys, "train", "reviews.csv", "--out", "m", "--replace", "--epochs", "2", "--json")
    assert (code, json.loads(out)) == (0, {"folder": "m"})
    assert asked == [{"data": "reviews.csv", "out": Path("m"), "replace": True, "epochs": 2, "device": "auto"}]


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"name": None}, "no name"),
        ({"rows": {}}, "no rows.train"),
        ({"options": 3}, "no options.seed"),
        ({"classes": "a"}, "classes of type str"),
        ({"test": {"rows": 5}}, "a test that cannot be read (no 'classes')"),
    ],
)
def test_a_damaged_record_is_one_line_before_anything_is_replaced(trained, change, found, tmp_path, capsys):
    model = shutil.copytree(trained / "model", tmp_path / "model")
    record = model / "training.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | change))
    before = (model / "operating_points.json").stat().st_mtime_ns
    for words in (["show", model], ["show", model, "--json"], ["calibrate", model, "--texts", trained / "reviews.csv"]):
        code, out, err = run(capsys, *words)
        assert (code, out, len(err.splitlines())) == (2, "", 1)
        assert err.startswith(f"error: {record}: found {found}, expected what `fastbert train` wrote")
    assert (model / "operating_points.json").stat().st_mtime_ns == before


@pytest.mark.parametrize("words", [["predict", "nobody", "texts.txt"], ["list", "tasks"]])
def test_a_closed_standard_output_is_told_before_anything_is_computed(words):
    command = ["sh", "-c", 'exec "$@" >&-', "sh", sys.executable, "-m", "fastbert_core", *words]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    assert done.returncode == 2
    assert done.stderr == "error: standard output: found it closed, expected somewhere to print to, such as > FILE\n"


HUB_OUT_OF_REACH = """
import time
time.sleep = lambda seconds: None  # between the hub client's retries
from fastbert_core import cli
raise SystemExit(cli.main(["predict", "nobody/nothing", "-", "--speed", "0.5"]))
"""


def test_a_model_that_no_hub_has_is_one_line_without_the_client_s_retries(tmp_path):
    nowhere = {"HF_HUB_OFFLINE": "0", "HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path)}
    command = [sys.executable, "-c", HUB_OUT_OF_REACH]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=os.environ | nowhere, input="")
    (line,) = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (2, "")
    assert line.startswith("error: nobody/nothing: cannot be loaded as a FastBERT: We couldn't connect")


def test_a_fault_within_the_stream_comes_after_what_was_read_before(trained, capsys):
    path = trained / "bad.csv"
    path.write_text("text,id\n" + "".join(f"a great film,{at}\n" for at in range(50)) + "one,two,three\n")
    code, out, err = run(capsys, "predict", trained / "model", path, "--speed", "0.5")
    assert code == 2
    assert len([json.loads(line) for line in out.splitlines()]) == 50
    assert err.startswith(f"error: {path}:52: found 3 fields, expected 2")


def test_lines_are_sent_whole_and_a_reader_that_leaves_is_no_error(trained, capsys, monkeypatch):
    blocks = []

    def send(block):
        blocks.append(block)
        if len(blocks) == 3:
            raise BrokenPipeError

    monkeypatch.setattr(predicting, "_send", send)
    texts = trained / "many.txt"
    texts.write_text("the lovely film and a warm plot\n" * 500)
    code, out, err = run(capsys, "predict", trained / "model", texts, "--speed", "0.9")
    assert (code, out, err) == (141, "", "")
    for block in blocks:
        assert len(block) <= 4096
        assert block.endswith(b"\n")
        assert all(json.loads(line) for line in block.splitlines())


ENDLESS = """
import itertools
from types import SimpleNamespace
from fastbert_core.arguments import exit_code
from fastbert_core.predicting import _interrupted_by_term, _write
told = {"exit_layer": 3, "uncertainty": 0.5, "truncated": False}
def write():
    with _interrupted_by_term():
        _write((SimpleNamespace(label="x" * (at % 90), **told) for at in itertools.count()), None, at_once=False)
raise SystemExit(exit_code(write))
"""


# SIGINT, which means the same as SIGTERM here, is ignored where tests run in the background.
@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGKILL])
def test_a_signal_leaves_whole_lines(tmp_path, sent):
    out, told = tmp_path / "out.jsonl", tmp_path / "err.txt"
    with open(out, "wb") as file, open(told, "wb") as errors:
        process = subprocess.Popen([sys.executable, "-c", ENDLESS], cwd=ROOT, stdout=file, stderr=errors)
        while out.stat().st_size < 10**6 and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(sent)
        try:
            code = process.wait(timeout=60)
        finally:
            process.kill()
    written = out.read_bytes()
    lines = written.splitlines(keepends=True)
    if sent == signal.SIGKILL:
        if not written.endswith(b"\n"):  # the kernel was between two pages
            assert len(written) % 4096 == 0
            lines.pop()
    else:
        assert (code, told.read_text()) == (130, "error: interrupted\n")
    assert all(line.endswith(b"\n") for line in lines)
    assert [len(json.loads(line)["label"]) for line in lines] == [at % 90 for at in range(len(lines))]  # each once
    assert len(lines) > 1000


def test_help_version_and_lists_start_light():
    code = """
import sys
from fastbert_core import cli
for words in (["list", "tasks"], ["list", "trainings", "--json"], ["--version"]):
    try:
        cli.main(words)
    except SystemExit:
        pass
heavy = {"torch", "transformers", "datasets", "pandas", "scipy", "sklearn"} & set(sys.modules)
print(heavy, file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stderr == "set()\n"
    assert "rotten-tomatoes" in done.stdout
    assert '{"training": "imitation"' in done.stdout
    assert "fastbert 0." in done.stdout


@pytest.mark.parametrize("what", commands.LISTS)
def test_every_list_names_each_thing_once(what, capsys):
    code, out, _ = run(capsys, "list", what, "--json")
    names = [next(iter(row.values())) for row in json.loads(out)]
    assert code == 0
    assert len(set(names)) == len(names) > 1
    code, out, _ = run(capsys, "list", what)
    assert (code, [line.split()[0] for line in out.splitlines()[1:]]) == (0, names)


def test_a_killed_training_goes_on_and_leaves_nothing_hidden(trained, monkeypatch, capsys):
    again = shutil.copytree(trained / "model", trained / "again")
    (again / "old").touch()
    words = ["train", str(trained / "reviews.csv"), "--out", str(again), "--replace", *QUICK]
    train, seen = classifier.train, []

    def dying(model, stage, *rest):
        seen.append(stage.name)
        if stage.name == "self-distillation" and seen.count(stage.name) == 1:
            raise KeyboardInterrupt
        return train(model, stage, *rest)

    monkeypatch.setattr(classifier, "train", dying)
    assert cli.main(words) == 130
    assert (again / "old").is_file()  # what stood there stands until the new model is whole
    assert "error: interrupted; the same command goes on from the last checkpoint" in capsys.readouterr().err
    assert cli.main(words) == 0
    assert not (again / "old").exists()
    last = capsys.readouterr().out.splitlines()[-1]  # too few rows for 1%, which would never exit
    assert last == f"model in {again}; next: fastbert predict {again} FILE --speedup 2"
    code, out, _ = run(capsys, "predict", again, trained / "reviews.csv", *last.split()[-2:])
    assert code == 0
    assert min(json.loads(line)["exit_layer"] for line in out.splitlines()) < 4
    one, other = ((trained / name / "model.safetensors").read_bytes() for name in ("model", "again"))
    assert one == other
    assert not (trained / ".again.training").exists()


def test_a_shell_can_complete_it():
    """As docs/quickstart.md says."""
    words = shtab.complete(cli.parser(), "bash")
    commands, options = (
        re.search(rf"{name}=\((.*?)\)", words)[1].split() for name in ("fastbert_subparsers", "predict_option_strings")
    )
    assert commands == ["train", "predict", "calibrate", "evaluate", "serve", "show", "list"]
    assert {"--speedup", "--max-disagreement"} <= {*options}
