"""The report: the page shows what the tables and traces hold, needs nothing else, and escapes what it shows."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from fastbert_core.metrics import at_speed
from plots.report import verdict
from plots.report.cells import Notes
from plots.report.sliders import COLUMNS
from plots.report.tables import OF_ALL_TASKS, shown_table
from reproductions import table2
from reproductions.columns import TABLES
from reproductions.figure3_speed_accuracy import MODELS, SPEEDS
from reproductions.measure import measure
from reproductions.show import BELOW_ONE
from reproductions.tables import read_table, write_table
from tests.factories import BACKBONE, load_traces, make_task, make_trace, store
from tests.plots.report_page import NAMES, SLIDER, edit
from tests.plots.test_efficiency import rows as efficiency_rows

HOSTILE = "</script><script>alert('1')</script> & \"x\" {0} $css"


def test_a_slider_shows_the_rows_of_speed_accuracy_for_every_training(page, measured):
    rows = read_table(measured, "speed_accuracy")
    models = page.models()
    assert [model["model"] for model in models] == NAMES
    for model in models:
        mine = rows[rows["model"] == model["model"]]
        assert len(mine) == 101
        for column in COLUMNS:
            assert model[column] == mine[column].tolist()


def test_exits_and_right_answers_are_those_of_the_core(page, measured):
    models = {model["model"]: model for model in page.models()}
    for training, name in MODELS.items():
        key = {"task": "book-review", "backbone": BACKBONE, "training": training}
        (trace,), shown = load_traces(measured, **key, split="test"), models[name]
        exits = [np.bincount(at_speed(trace, speed).exit_layer, minlength=13)[1:].tolist() for speed in SPEEDS]
        assert shown["exits"] == exits
        assert shown["right"] == [int(at_speed(trace, speed).correct.sum()) for speed in SPEEDS]
        assert (shown["samples"], shown["seeds"]) == (60, ["7"])


def test_rows_that_are_one_text_count_once_in_every_slider(report, tmp_path):
    traces, same = make_task("book-review", samples=60)[:5], slice(5, 13)  # FastBERT and its other trainings
    for trace in (trace for trace in traces if trace.metadata["split"] == "test"):
        trace.tokens[same], trace.labels[same], trace.probabilities[same] = 3, 0, (0.75, 0.25)
    folder = store(tmp_path / "repeated" / "standard", traces)
    measure(folder)
    code, page, _ = report(results_dir=folder.parent)
    assert code == 0
    assert {model["model"]: model["samples"] for model in page.models()} == dict.fromkeys(NAMES, 60 - 7)


def test_several_seeds_are_added_up(report, tmp_path):
    traces = [make_trace(20, seed=seed, split=split) for seed in (7, 8) for split in ("test", "dev")]
    folder = store(tmp_path / "seeds" / "standard", traces)
    measure(folder)
    code, page, _ = report(results_dir=folder.parent)
    assert code == 0
    (model,) = page.models()
    rows = read_table(folder, "speed_accuracy").query("model == 'FastBERT'")
    assert (model["samples"], model["seeds"]) == (40, ["7", "8"])
    np.testing.assert_allclose(100 * np.array(model["right"]) / 40, rows["accuracy"], atol=0.005001)
    np.testing.assert_allclose(np.array(model["exits"]) @ np.arange(1, 13) / 40, rows["mean_layers"], atol=0.000501)


def test_a_task_of_many_labels_has_a_slider_without_what_is_lost(report, tmp_path):
    many = make_trace(20, classes=3, task="moods")
    of = many.metadata | {"task_type": "multi-label", "metrics": ["micro-f1"]}
    labels = (many.probabilities[:, -1] > 0.4).astype(np.int64)
    folder = store(
        tmp_path / "types" / "standard", [make_trace(20), dataclasses.replace(many, labels=labels, metadata=of)]
    )
    measure(folder)
    code, page, errors = report(results_dir=folder.parent)
    assert (code, errors) == (0, [])
    (model,) = page.models("moods")
    assert model["lost"] is None
    assert page.models()[0]["lost"] is not None


def test_the_speed_chosen_on_dev_is_marked_for_the_model_it_was_chosen_for(page, measured):
    settings = read_table(measured, "table2")["setting"]
    (chosen,) = settings[settings.str.endswith("chosen on dev")]
    models = page.models()
    assert [model["chosen"] for model in models] == [float(chosen.split("=")[1].split()[0]), None, None, None]
    assert page.data["paperSpeeds"] == list(table2.PAPER_SPEEDS)


def test_tables_figures_and_provenance_are_on_the_page(page, measured):
    row = read_table(measured, "table2").query("setting == 'speed=0.5'").iloc[0]
    expected = [f"{row['accuracy']:.2f}", f"{row['reported_accuracy']:.2f}", row["verdict"], *row["note"].split("; ")]
    assert {*expected} <= {*page.texts}
    for caption in ("Table 2: ", "Table 3: ", "LUHA, by classifier", "FastBERT against", "True multiply-accumulates"):
        assert sum(text.startswith(caption) for text in page.texts) == 1, caption
    assert len([source for source in page.sources if source.startswith("data:image/")]) == 2
    run = read_table(measured, "runs").iloc[0]
    assert run["run_id"] in page.texts
    assert "code 0000000" in page.text
    assert page.alts == ["50% of #1 isn't"] * 2  # what the figures say themselves


def test_the_page_is_whole_and_alone(page):
    assert len(page.ids) == len(set(page.ids))
    assert {*page.links} - {"data:,"} == {"#standard", "#reading"}
    assert {"standard", "reading", SLIDER, "standard-all", "standard-book-review"} <= {*page.ids}
    assert page.tags.count("link") == 1  # the empty icon: without it browsers ask for one
    assert all(source.startswith("data:image/") for source in page.sources)
    assert "@import" not in page.html
    assert "url(" not in page.html.split("</style>")[0]
    assert all("50%25 of %231 isn%27t" in source for source in page.sources)


def test_the_same_results_give_the_same_bytes(page, report):
    code, again, errors = report()
    assert (code, errors) == (0, [])
    assert again.html == page.html


def test_what_comes_from_files_is_escaped(report, results):
    hostile = HOSTILE.replace('"', '""')
    edit(results / "table2.csv", lambda text: text.replace("fastest within", f"fastest within {hostile}"))
    bench = results.parent / "bench"
    rival = {"task": "mine", "rival": "<b>{a[0]}</b>", "precision": "fp32", "batch": 1, "samples": 9}
    rival |= {"samples_per_second": 1, "accuracy": 50, "ours_precision": "fp32", "ours_batch": 1}
    rival |= {"ours_samples_per_second": 1, "ours_accuracy": 50, "ours_over_rival": 1}
    where = {"machine": "<i>AMD</i>", "git_sha": None, "git_dirty": None, "date": "2026-01-31"}
    write_table(bench, "rivals", pd.DataFrame([dict.fromkeys(TABLES["rivals"]) | rival | where]))
    code, page, _ = report()
    assert code == 0
    assert {"<b>{a[0]}</b>", "<i>AMD</i>; 2026-01-31"} <= {*page.texts}
    assert any(HOSTILE in text for text in page.texts)
    assert HOSTILE in page.models()[0]["rule"]  # as data, which cannot end its script element
    assert "i" not in page.tags
    assert page.tags.count("script") == 2


@pytest.fixture
def shown(measured):
    """Table 2 as the page has it, its rows changed, with its footnotes."""
    (table2,) = [shown for shown in OF_ALL_TASKS if shown.table == "table2"]

    def made(**columns):
        notes = Notes()
        return shown_table(table2, read_table(measured, "table2").assign(**columns), notes), notes

    return made


def test_captions_name_the_papers_tables_only_where_its_numbers_stand(shown, measured):
    assert shown()[0].caption == "Table 2: every model and speed beside the paper's"
    names = read_table(measured, "table2").columns
    against_it = [name for name in names if name.startswith(("reported", "paper", "relative", "verdict", "difference"))]
    table, notes = shown(task="tickets", note="", **dict.fromkeys(against_it))
    assert table.caption == "Every model and speed"
    assert "paper" not in f"{table} {notes}"


def test_a_speedup_below_1_is_explained(shown):
    assert BELOW_ONE not in shown(speedup=1.5)[1]
    table, notes = shown(speedup=0.18)
    assert table.note == notes[BELOW_ONE]


def test_a_footnote_is_given_once(page, measured):
    notes = [text for name in ("table2", "table3") for text in read_table(measured, name)["note"]]
    remarks = {remark for text in notes for remark in text.split("; ")} - {""}
    assert len(remarks) > 2
    assert {remark: page.texts.count(remark) for remark in remarks} == dict.fromkeys(remarks, 1)


def test_the_first_screen_has_the_verdict_and_a_line_for_each_task(page, measured):
    pair = read_table(measured, "comparisons").query("against == 'BERT'")
    pair = pair[pair["setting"].str.endswith("chosen on dev")].iloc[0]
    row = read_table(measured, "table2").query("setting == @pair.setting").iloc[0]
    lost, speedup = f"{0 - pair['difference']:.2f}", f"{row['speedup']:.1f}"
    told = f"On book-review FastBERT needs {speedup} times fewer FLOPs than BERT and loses {lost} points of accuracy "
    (verdict,) = [text for text in page.texts if text.startswith(told)]
    assert f"({0 - pair['difference_high']:.2f} to {0 - pair['difference_low']:.2f}, 95% interval)" in verdict
    headline = page.texts.index("At the speed chosen on dev")
    assert page.texts.index(verdict) < headline < page.texts.index("All tasks")
    assert {lost, f"{speedup}×"} <= {*page.texts[headline : page.texts.index("All tasks")]}
    assert f"{lost} points lost at {speedup}×" in page.texts


def test_the_verdict_on_several_tasks_counts_them():
    rows = pd.DataFrame({"speedup": [2.0, 4.0, 9.0], "without_loss": ["yes", "no", "no"], "loss_low": [-0.1, 0.2, 0.6]})
    told = verdict.sentence(rows)
    assert "needs 4.0 times fewer FLOPs than BERT in the median of 3 tasks (2.0 to 9.0)" in told
    assert told.endswith("on 1 of them it surely loses less than 0.5 points of accuracy, on 1 surely more.")
    assert verdict.sentence(verdict.chosen(None, None)) == ""


def test_a_slider_shows_what_is_lost_and_how_its_speed_was_chosen(page, measured):
    (model, *others) = page.models()
    table2, pairs = read_table(measured, "table2"), read_table(measured, "comparisons").query("against == 'BERT'")
    bert = table2.query("model == 'BERT'")["accuracy"].item()
    for each in (model, *others):
        np.testing.assert_allclose(each["lost"], bert - np.array(each["accuracy"]), atol=1e-9)
    assert model["rule"] in table2.loc[table2["setting"].str.endswith("chosen on dev"), "note"].item()
    assert model["rule"].startswith("fastest within 0.5 points of BERT on ")
    pair = pairs.query("setting == 'speed=0.5'").iloc[0]
    assert model["paired"]["50"] == [-pair["difference_high"], -pair["difference_low"]]
    assert [each["paired"] for each in others] == [{}, {}, {}]
    students = table2.query("model == 'DistilBERT'")
    assert [speedup for speedup, _ in model["distilbert"]] == students["speedup"].tolist()


def test_a_slider_shows_measured_seconds_of_the_profile_that_was_timed(report, results):
    rows = pd.DataFrame(efficiency_rows() + efficiency_rows(batch=256) + efficiency_rows(batch=1))
    write_table(results.parent / "bench", "efficiency", rows)
    models = report()[1].models()
    expected = [{"flops_speedup": 2.0, "measured_speedup": 1.9, "batch": 32, "device": "cpu"}]
    expected += [{"flops_speedup": 4.0, "measured_speedup": 3.2, "batch": 32, "device": "cpu"}]
    assert [model["seconds"] for model in models] == [expected] * 4
