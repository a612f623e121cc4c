"""The command line from end to end on the smoke profile, and every kind of bad input it must answer in one line."""

import contextlib
import dataclasses
import re
import shutil

import numpy as np
import pytest
import torch

from fastbert_core.checkpoint import load_checkpoint
from fastbert_core.encoder_folder import load_tokenizer
from fastbert_core.encoding import encode
from fastbert_core.engine import Engine
from fastbert_core.errors import InputError
from fastbert_core.flops import BERT_BASE
from fastbert_core.generated import generate
from fastbert_core.model import FastBertModel
from fastbert_core.precision import resolve_precision
from fastbert_core.tasks import TASKS
from fastbert_core.tracing import probabilities, scaled_probabilities
from reproductions import cli, provenance
from reproductions.execute import execute
from reproductions.lock import locked
from reproductions.plan import is_done, plan
from reproductions.run import run
from reproductions.settings import check_trainings, lookup
from reproductions.sources import Named
from reproductions.store import find_runs, put_run
from reproductions.tables import read_table
from tests.core.small import assert_agrees
from tests.factories import change_run, load_traces
from tests.fuzz.harness import contents
from tests.reproductions.own_task import write_task_file

DBPEDIA, CPU = TASKS["dbpedia"], torch.device("cpu")
ROWS = 640  # half of the profile's, all of which the gate's live tier trains on
SMOKE = ["--profile", "smoke", "--train-rows", str(ROWS)]


@pytest.fixture(autouse=True, scope="module")
def bare(tmp_path_factory):
    """A folder of runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FASTBERT_RUNS", str(tmp_path_factory.getbasetemp() / "runs"))
        yield


@pytest.fixture(scope="module")
def smoke(tmp_path_factory, few_draws):
    """The results folder of one smoke run of dbpedia, on half of the rows."""
    results = tmp_path_factory.mktemp("results")
    assert cli.main(["run", "dbpedia", *SMOKE, "--results-dir", str(results)]) == 0
    return results


@pytest.mark.smoke
def test_a_run_writes_its_tables_and_traces(smoke):
    results = smoke / "smoke"
    table = read_table(results, "table2").set_index(["model", "setting"])
    assert {("BERT", "12 layers"), ("FastBERT", "speed=0.1"), ("FastBERT", "speed=0.5")} <= set(table.index)
    assert table.loc[("BERT", "12 layers"), "accuracy"] > 50  # chance is 7
    fast = table.loc[("FastBERT", "speed=0.8")]
    assert fast["mean_layers"] < 12
    assert fast["speedup"] > 1
    assert table["reported_accuracy"].isna().all()  # generated text is not held against the paper
    runs = read_table(results, "runs")
    assert (runs["profile"] == "smoke").all()
    assert set(table["run_id"]) <= set(runs["run_id"])
    curve = read_table(results, "speed_accuracy")
    assert (curve.groupby("model")["mean_layers"].agg(lambda layers: layers.is_monotonic_decreasing)).all()
    (trace,) = load_traces(results, training="self-distillation", split="test")
    assert trace.probabilities.shape == (400, 12, 14)
    assert trace.logsumexp.shape == (400, 12)
    assert np.ptp(trace.logsumexp) > 0.1  # a scale of its own for every sample


@pytest.mark.smoke
def test_other_trainings_and_distilbert_stand_beside_fastbert(smoke):
    table = read_table(smoke / "smoke", "table2").set_index(["model", "setting"])
    student = table.loc[("DistilBERT", "3 layers")]
    assert student["mean_layers"] == 3
    assert student["accuracy"] > 20  # chance is 7
    models = set(read_table(smoke / "smoke", "speed_accuracy")["model"])
    assert len([name for name in models if name.startswith("FastBERT")]) == 3
    runs = read_table(smoke / "smoke", "runs")
    assert len(runs) == runs["run_id"].nunique() == 4
    arithmetic = f"{resolve_precision('auto', CPU)}, {provenance.machine(CPU)['arithmetic']}"
    stages = {"labels": ["labels"], "distilbert-3": ["fine-tuning", "shallow"]}
    for row in runs.itertuples():
        named = stages.get(row.training, ["fine-tuning", "self-distillation"])
        assert row.stages == "; ".join(f"{stage}: {arithmetic}" for stage in named)


@pytest.mark.smoke
def test_a_task_of_the_users_own(tmp_path, tmp_path_factory, few_draws, capsys):
    arguments = ["run", "--task-file", str(write_task_file(tmp_path, pair=True)), "--profile", "smoke"]
    assert cli.main([*arguments, "--results-dir", str(tmp_path / "results")]) == 0
    assert "mine, this run" in capsys.readouterr().out
    for name in ("table2", "speed_accuracy", "luha", "exit_layers", "true_macs"):
        rows = read_table(tmp_path / "results" / "smoke", name)
        assert (rows["task"] == "mine").all()
    assert len(load_traces(tmp_path / "results" / "smoke", task="mine", split="test")) == 1
    for run_id in read_table(tmp_path / "results" / "smoke", "runs")["run_id"]:
        model = FastBertModel.from_pretrained(tmp_path_factory.getbasetemp() / "runs" / run_id / "model")
        assert model.config.pair is True


@pytest.mark.smoke
def test_the_trained_model_agrees_with_its_trace(smoke, tmp_path_factory):
    results = smoke / "smoke"
    runs = read_table(results, "runs").set_index("training")
    folder = tmp_path_factory.getbasetemp() / "runs" / runs.loc["self-distillation", "run_id"] / "model"
    engine = Engine(FastBertModel.from_pretrained(folder), load_tokenizer(folder))
    texts = generate(DBPEDIA, lookup("smoke", DBPEDIA, "data")).test.texts
    (trace,) = load_traces(results, training="self-distillation", split="test")
    for batch_size in (1, 64):
        found = engine.predict(encode(engine.tokenizer, texts), speed=0.6, batch_size=batch_size)
        assert len(np.unique(found.exit_layers)) > 1
        assert_agrees(trace, found, 0.6, tolerance=trace.kept_to)


@pytest.mark.smoke
def test_each_model_has_a_card_of_what_it_learnt_from_and_comes_to(smoke, tmp_path_factory):
    table = read_table(smoke / "smoke", "table2").set_index(["model", "setting"])
    runs, here = read_table(smoke / "smoke", "runs").set_index("training"), tmp_path_factory.getbasetemp()
    cards = {name: (here / "runs" / run.run_id / "model" / "README.md").read_text() for name, run in runs.iterrows()}
    for name, card in cards.items():
        run = runs.loc[name]
        assert f"# dbpedia: {name} on {run.backbone}\n" in card
        assert {f"`{run.data_sha256}`", f"`{run.backbone_sha256}`"} <= set(card.split())
        assert str(here) not in card
        assert ("entropy below 0.5" in card) == (name != "distilbert-3")
    for name, key in (("self-distillation", ("FastBERT", "speed=0.5")), ("distilbert-3", ("DistilBERT", "3 layers"))):
        row = table.loc[key]
        assert re.search(f"{row.accuracy:.2f} +[|] {row.mean_layers:.2f} ", cards[name])


@pytest.fixture
def seeded(smoke, tmp_path):
    """A copy of the smoke run's results, FastBERT's run of another seed as planned, and what makes runs of others."""
    results = shutil.copytree(smoke / "smoke", tmp_path / "smoke")
    (first,) = (one for one in find_runs(results) if one.row["training"] == "self-distillation")
    job, *_ = plan([DBPEDIA], "smoke", Named(), CPU, resolve_precision("auto", CPU), print, seed=8, train_rows=ROWS)

    def made(**own):
        """As if it had been trained: the first seed's traces under another's name, the test set's before others."""
        traces = [dataclasses.replace(trace, metadata=trace.metadata | own) for trace in first.traces()]
        return first.row | own, sorted(traces, key=lambda trace: trace.metadata["split"], reverse=True)

    return results, job, made


@pytest.mark.smoke
def test_a_second_seed_is_averaged_with_the_first(seeded, monkeypatch):
    results, job, made = seeded
    monkeypatch.setattr("reproductions.run.execute", lambda job, *_: made(seed=8, run_id=job.run_id))
    run([job], results, False, print)
    seeds = read_table(results, "table2").set_index(["model", "setting"])["seeds"]
    assert seeds["FastBERT", "speed=0.5"] == "7;8"
    assert seeds["DistilBERT", "3 layers"] == "7"
    assert set(read_table(results, "convergence")["seeds"]) == {"7;8"}


@pytest.mark.smoke
@pytest.mark.parametrize("seed", [8, 9])
def test_another_process_may_write_to_the_results_while_a_run_is_made(seed, seeded, monkeypatch):
    results, job, made = seeded

    def execute(job, *_):
        with locked(results, pytest.fail):
            put_run(results, *made(seed=seed, run_id="0" * 16))
        return made(seed=8, run_id=job.run_id)

    monkeypatch.setattr("reproductions.run.execute", execute)
    taken = pytest.raises(InputError, match=f"is held by run {'0' * 16}, this is {job.run_id}; --replace lets it go")
    with taken if seed == job.settings.seed else contextlib.nullcontext():
        run([job], results, False, print)
    own = [one.row for one in find_runs(results) if one.row["training"] == job.settings.training]
    stored = {row["seed"]: row["run_id"] for row in own}
    assert stored[seed] == "0" * 16
    assert set(stored) == {7, 8, seed}


@pytest.mark.smoke
def test_replace_lets_a_run_take_the_place_of_another_and_publish_writes_the_pages(seeded, monkeypatch, capsys):
    results, job, made = seeded
    put_run(results, *made(seed=8, run_id="0" * 16))
    written = []
    monkeypatch.setattr("reproductions.run.execute", lambda job, *_: made(seed=8, run_id=job.run_id))
    monkeypatch.setattr("reproductions.pages.write", lambda: written.append(True))
    monkeypatch.setattr(cli, "committed", lambda name: results.parent)
    words = ["run", "dbpedia", *SMOKE, "--training", "self-distillation", "--seed", "8", "--publish"]
    assert cli.main(words) == 2
    assert "--replace lets it go" in capsys.readouterr().err
    assert not written
    assert cli.main([*words, "--replace"]) == 0
    assert written
    own = {one.row["seed"]: one for one in find_runs(results) if one.row["training"] == job.settings.training}
    assert set(own) == {7, 8}
    assert own[8].row["run_id"] == job.run_id
    seventh, eighth = ([*own[seed].traces()] for seed in (7, 8))
    assert len(eighth) < len(seventh), "epochs of a further seed are not committed"


@pytest.mark.smoke
def test_a_seed_that_learnt_from_other_rows_than_those_there_is_refused_unless_they_may_go(seeded):
    results, job, _ = seeded
    assert not is_done(job, find_runs(results), replace=False)
    key = {"task": "dbpedia", "backbone": "random-bert-12x32", "training": "self-distillation"}
    change_run(results, {"train_rows": ROWS - 1}, **key)
    with pytest.raises(InputError, match="train_rows"):
        is_done(job, find_runs(results), replace=False)
    assert not is_done(job, find_runs(results), replace=True)


@pytest.mark.smoke
def test_the_distilberts_of_a_teacher_share_its_soft_labels(smoke, tmp_path, monkeypatch):
    jobs = plan([DBPEDIA], "smoke", Named(), CPU, resolve_precision("auto", CPU), print, train_rows=ROWS)
    three = next(job for job in jobs if job.settings.training == "distilbert-3")
    six = dataclasses.replace(three, settings=dataclasses.replace(three.settings, training="distilbert-6"))
    passes = []

    def counted(*arguments, progress=None, **options):
        passes.append(progress)
        return scaled_probabilities(*arguments, progress=progress, **options)

    monkeypatch.setattr("reproductions.execute.scaled_probabilities", counted)
    run([six], tmp_path, False, print)
    assert "trace of test" in passes
    assert "soft labels" not in passes  # the 3-layer one of `smoke` made them
    stored = load_checkpoint(six.first_folder / "soft-labels.safetensors")[0]["soft_labels"]
    assert stored.shape == (ROWS, 14)
    teacher = FastBertModel.from_backbone(six.backbone.source, DBPEDIA.classes)
    teacher.load_state_dict(load_checkpoint(six.first_folder / "fine-tuning.safetensors")[0], strict=False)
    tokenizer = load_tokenizer(six.backbone.source)
    rows = encode(tokenizer, six.train.texts)  # all: in bf16 a text's last bits depend on what is batched with it
    classified, precision = (teacher.layers,), six.settings.precision
    expected = probabilities(teacher, rows, tokenizer.pad_token_id, classified, precision)[:, 0]
    np.testing.assert_allclose(stored.numpy(), expected, atol=1e-5)


@pytest.mark.smoke
@pytest.mark.parametrize(
    ("more", "told"),
    [
        ([], " of other train_rows, this is "),
        (["--seed", "8"], f"seed 8: found train_rows 900, expected {ROWS} as seed 7 has"),
    ],
)
def test_a_run_that_others_leave_no_place_for_is_refused_before_training(more, told, smoke, capsys, monkeypatch):
    before = contents(smoke)
    monkeypatch.setattr("reproductions.run.execute", None)
    words = ["run", "dbpedia", "--profile", "smoke", "--results-dir", str(smoke), "--train-rows", "900", *more]
    assert cli.main(words) == 2
    assert told in capsys.readouterr().err
    assert contents(smoke) == before


@pytest.mark.smoke
@pytest.mark.parametrize(("layers", "students"), [(6, ["distilbert-3"]), (8, [])])
def test_a_distilbert_that_the_encoder_has_no_layers_for_is_left_out(layers, students, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "fastbert_core.encoder_folder.read_shape", lambda folder: dataclasses.replace(BERT_BASE, layers=layers)
    )
    said = []
    jobs = plan([DBPEDIA], "smoke", Named(), CPU, "fp32", said.append)
    assert [job.settings.training for job in jobs if job.settings.layers] == students
    left_out = f"dbpedia: distilbert-3 left out, the encoder has {layers} layers"
    assert (left_out in said) == (not students)
    if not students:  # who asks for it by name has to know
        expected = ", ".join(str(n) for n in range(1, layers) if layers % n == 0)
        message = f"found distilbert-3 of an encoder of {layers} layers, expected one with {expected} of them"
        with pytest.raises(InputError, match=message):
            plan([DBPEDIA], "smoke", Named(), CPU, "fp32", said.append, ["distilbert-3"])


@pytest.mark.smoke
@pytest.mark.parametrize(
    ("shape", "told"),
    [
        ({"layers": 1}, "found an encoder of one layer, expected two or more"),
        ({"max_tokens": 64}, "found an encoder for 64 tokens, expected one for 128 or more"),
    ],
)
def test_an_encoder_that_is_too_small_is_refused_before_training(shape, told, monkeypatch):
    monkeypatch.setattr(
        "fastbert_core.encoder_folder.read_shape", lambda folder: dataclasses.replace(BERT_BASE, **shape)
    )
    with pytest.raises(InputError, match=told):
        plan([DBPEDIA], "smoke", Named(), CPU, "fp32", print)


@pytest.mark.smoke
def test_running_again_does_nothing_and_a_task_named_twice_is_run_once(smoke, capsys):
    before = contents(smoke)
    assert cli.main(["run", "dbpedia", "dbpedia", *SMOKE, "--results-dir", str(smoke)]) == 0
    said = capsys.readouterr().out
    assert said.count("self-distillation, seed 7") == 1
    assert "already, skipped" in said
    assert contents(smoke) == before


@pytest.mark.smoke
def test_a_run_that_was_killed_before_it_was_measured_is_measured(smoke):
    before = contents(smoke)
    (smoke / "smoke" / "table2.csv").unlink()
    assert cli.main(["run", "dbpedia", *SMOKE, "--results-dir", str(smoke)]) == 0
    assert contents(smoke) == before


@pytest.mark.smoke
def test_a_dry_run_says_what_it_would_do_and_does_nothing(smoke, capsys, monkeypatch):
    monkeypatch.setattr("reproductions.run.execute", None)
    assert cli.main(["run", "dbpedia", "lcqmc", *SMOKE, "--results-dir", str(smoke), "--dry-run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any("dbpedia, self-distillation" in line and line.endswith("done") for line in lines)
    assert any("lcqmc, self-distillation" in line and f"{ROWS} training rows: about" in line for line in lines)


def test_a_dry_run_goes_on_after_a_task_that_cannot_run(tmp_path, capsys):
    (tmp_path / "dbpedia").mkdir()
    arguments = ["run", "ag-news", "dbpedia", "--dry-run", "--data-dir", str(tmp_path), "--backbone", str(tmp_path)]
    assert cli.main(arguments) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert "expected the TSV files of task ag-news" in first
    assert "dbpedia: found no train.tsv" in second


def test_a_profile_may_limit_the_rows_but_not_those_asked_for(monkeypatch):
    monkeypatch.setattr("reproductions.plan.most_rows", lambda profile, task, available: {1280: 640}[available])
    for given, rows in ((None, 640), (960, 960), ("all", 1280)):
        jobs = plan([DBPEDIA], "smoke", Named(), CPU, "fp32", print, seed=None, train_rows=given)
        assert {len(job.train) for job in jobs} == {rows}


def test_trainings_can_be_named(capsys, monkeypatch):
    trainings = check_trainings(["sweet", "pkd-6", "sweet", "authors"])
    planned = plan([DBPEDIA], "smoke", Named(), CPU, "fp32", print, trainings=trainings)
    assert [run.settings.training for run in planned] == ["sweet", "pkd-6", "authors"]
    monkeypatch.setattr("reproductions.commands._settled", None)  # before the hub is asked, or anything is loaded
    meant = {"swet": "sweet", "pkd": "pkd-6", "sweet-3": "sweet", "distilbrt-3": "distilbert-3", "tinybert-0": "tiny"}
    for name, near in (meant | {"imitation": ""}).items():
        assert cli.main(["run", "dbpedia", "--profile", "smoke", "--training", name]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"error: --training: found '{name}', expected one of authors, labels-longer, ")
        assert f"; did you mean '{near}" in line if near else "did you mean" not in line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "dbpdia"], "task: found 'dbpdia', expected one of chnsenticorp, "),
        (["rules", "dbpdia"], "; did you mean 'dbpedia'?"),
        (["run", "dbpedia", "all"], "found all beside dbpedia, expected task names or all"),
        (["run"], "expected task names"),
        (["run", "dbpedia", "--profile", "fast"], "invalid choice: 'fast'"),
        (["run", "dbpedia", "--train-rows", "0"], "found '0', expected a number of rows, or all"),
        (["run", "dbpedia", "--seed", str(2**32)], "expected a whole number from 0 to 4294967295"),
        (["run", "dbpedia", "--profile", "smoke", "--train-rows", "1281"], "dbpedia: found 1280 training rows"),
        (["run", "dbpedia", "--profile", "smoke", "--train-rows", "13"], "13 of 1280 training rows: no text of class"),
        (["run", "dbpedia", "--profile", "smoke", "--data-dir", "."], "profile smoke brings its own text"),
        (["run", "dbpedia", "--profile", "packaged", "--backbone", "."], "profile packaged brings its own text"),
        (["run", "dbpedia", "--data-dir", ""], "--data-dir: found no folder ''"),
        (["run", "dbpedia", "--data-dir", "/nowhere"], "--data-dir: found no folder /nowhere"),
        (["run", "dbpedia", "--backbone", "/nowhere"], "--backbone: found no folder /nowhere"),
        (["run", "--task-file", "/nowhere.toml"], "/nowhere.toml: no such task file"),
        (["measure", "--results-dir", "/nowhere"], "/nowhere/standard: no such folder"),
        (["measure", "--results-dir", "no\nwhere"], r"no\nwhere/standard: no such folder"),
        (["flops", "--tokens", "0"], "tokens: found 0, expected an integer from 1 to 512"),
        (["flops", "--backbone", "/nowhere"], "found no config.json"),
        ([], "required: COMMAND; python -m reproductions --help tells more"),
        (["walk"], "invalid choice: 'walk'"),
        (["run", "dbpedia", "--seed", "seven\n"], r"--seed: found 'seven\n', expected a whole number"),
        (["rules"], "required: TASK; python -m reproductions rules --help tells more"),
    ],
)
def test_bad_arguments_are_one_line_and_exit_2(arguments, message, capsys):
    try:
        code = cli.main(arguments)
    except SystemExit as stop:  # argparse's own refusals
        code = stop.code
    captured = capsys.readouterr()
    assert code == 2
    (line,) = captured.err.splitlines()
    assert line.startswith("error: ")
    assert message in line


def test_a_device_that_is_not_there(capsys, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert cli.main(["run", "dbpedia", "--profile", "smoke", "--device", "cuda"]) == 2
    assert "found no CUDA device" in capsys.readouterr().err


def test_an_interrupted_run_exits_130(monkeypatch, capsys, tmp_path):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("reproductions.run.execute", interrupt)
    assert cli.main(["run", "dbpedia", "--profile", "smoke", "--results-dir", str(tmp_path)]) == 130
    assert "goes on from the last checkpoint" in capsys.readouterr().err
    monkeypatch.setattr("reproductions.measure.measure", interrupt)
    assert cli.main(["measure", "--profile", "smoke", "--results-dir", str(tmp_path)]) == 130
    assert capsys.readouterr().err == "error: interrupted\n"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(28, "No space left on device", "trace.npz"), "error: trace.npz: No space left on device\n"),
        (
            torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nSee the documentation"),
            "error: CUDA out of memory. Tried to allocate 2 GiB.",
        ),
    ],
)
def test_a_full_disk_and_a_gpu_without_room_exit_1_in_one_line(monkeypatch, capsys, tmp_path, error, told):
    def full(*_):
        raise error

    monkeypatch.setattr("reproductions.run.execute", full)
    assert cli.main(["run", "dbpedia", "--profile", "smoke", "--results-dir", str(tmp_path)]) == 1
    (line,) = capsys.readouterr().err.splitlines(keepends=True)
    assert line.startswith(told)


@pytest.mark.smoke
def test_a_baseline_that_other_code_makes_anew_is_told_in_the_row(smoke, monkeypatch):
    default, *_ = plan([DBPEDIA], "smoke", Named(), CPU, resolve_precision("auto", CPU), print, train_rows=ROWS)
    before, _ = execute(default, print)
    (default.first_folder / "baseline.json").unlink()
    monkeypatch.setattr(provenance, "git_state", lambda: {"git_sha": "f" * 40, "git_dirty": "no"})
    after, _ = execute(default, print)
    assert (before["resumed_at"], after["resumed_at"]) == (None, "f" * 40)
    assert after["baseline_accuracy"] == before["baseline_accuracy"]
