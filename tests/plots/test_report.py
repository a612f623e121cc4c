"""The report: the page shows what the tables and traces hold, needs nothing else, and escapes what it shows."""

import numpy as np
import pandas as pd
import pytest

from fastbert_core.metrics import at_speed
from plots.registry import FIGURES
from plots.report import cli
from plots.report.figures import CAPTIONS
from plots.report.sliders import COLUMNS, PAPER_SPEEDS
from plots.report.tables import OF_ALL_TASKS, shown_html
from reproductions import table2
from reproductions.columns import TABLES
from reproductions.figure3_speed_accuracy import MODELS, SPEEDS
from reproductions.measure import measure
from reproductions.show import BELOW_ONE
from reproductions.store import load_traces
from reproductions.tables import read_table, write_table
from tests.factories import make_task, store
from tests.plots.report_page import NAMES, SLIDER, Page, edit

HOSTILE = "</script><script>alert('1')</script> & \"x\" {0} $css"


def test_a_slider_shows_the_rows_of_speed_accuracy_for_every_training(report, results):
    code, page, errors = report()
    assert (code, errors) == (0, [])
    rows = read_table(results, "speed_accuracy")
    models = page.data["sliders"][SLIDER]
    assert [model["model"] for model in models] == NAMES
    for model in models:
        mine = rows[rows["model"] == model["model"]]
        assert len(mine) == 101
        for column in COLUMNS:
            assert model[column] == mine[column].tolist()


def test_exits_and_right_answers_are_those_of_the_core(report, results):
    models = {model["model"]: model for model in report()[1].data["sliders"][SLIDER]}
    for training, name in MODELS.items():
        (trace,), shown = load_traces(results, task="book-review", training=training, split="test"), models[name]
        exits = [np.bincount(at_speed(trace, speed).exit_layer, minlength=13)[1:].tolist() for speed in SPEEDS]
        assert shown["exits"] == exits
        assert shown["right"] == [int(at_speed(trace, speed).correct.sum()) for speed in SPEEDS]
        assert (shown["samples"], shown["seeds"]) == (60, ["7"])


@pytest.mark.usefixtures("two_figures")
def test_several_seeds_are_added_up(tmp_path):
    folder = store(tmp_path / "results" / "standard", make_task("book-review", seeds=(7, 8), samples=20))
    measure(folder)
    output = tmp_path / "report.html"
    assert cli.main(["--results-dir", str(folder.parent), "--output", str(output)]) == 0
    (model, *_) = Page(output.read_text(encoding="utf-8")).data["sliders"][SLIDER]
    rows = read_table(folder, "speed_accuracy").query("model == 'FastBERT'")
    assert (model["samples"], model["seeds"]) == (40, ["7", "8"])
    np.testing.assert_allclose(100 * np.array(model["right"]) / 40, rows["accuracy"], atol=0.005001)
    np.testing.assert_allclose(np.array(model["exits"]) @ np.arange(1, 13) / 40, rows["mean_layers"], atol=0.000501)


def test_the_speed_chosen_on_dev_is_marked_for_the_model_it_was_chosen_for(report, results):
    page = report()[1]
    settings = read_table(results, "table2")["setting"]
    (chosen,) = settings[settings.str.endswith("chosen on dev")]
    models = page.data["sliders"][SLIDER]
    assert [model["chosen"] for model in models] == [float(chosen.split("=")[1].split()[0]), None, None, None]
    assert page.data["paperSpeeds"] == list(PAPER_SPEEDS) == list(table2.PAPER_SPEEDS)


def test_tables_figures_and_provenance_are_on_the_page(report, results):
    _, page, _ = report()
    row = read_table(results, "table2").query("setting == 'speed=0.5'").iloc[0]
    expected = [f"{row['accuracy']:.2f}", f"{row['reported_accuracy']:.2f}", row["verdict"], row["note"]]
    assert {*expected} <= {*page.texts}
    for caption in ("Table 2: ", "Table 3: ", "LUHA, by classifier", "FastBERT against", "True multiply-accumulates"):
        assert sum(text.startswith(caption) for text in page.texts) == 1, caption
    assert len([source for source in page.sources if source.startswith("data:image/")]) == 2
    run = read_table(results, "runs").iloc[0]
    assert run["run_id"] in page.texts
    assert "code 0000000" in page.text
    assert set(CAPTIONS) == set(FIGURES)


def test_the_page_is_whole_and_alone(report):
    _, page, _ = report()
    assert len(page.ids) == len(set(page.ids))
    assert {*page.links} - {"data:,"} == {"#standard", "#standard-book-review"}
    assert {link[1:] for link in page.links if link[0] == "#"} | {*page.data["sliders"]} <= {*page.ids}
    assert page.tags.count("link") == 1  # the empty icon: without it browsers ask for one
    assert all(source.startswith("data:image/") for source in page.sources)
    assert "@import" not in page.html
    assert "url(" not in page.html.split("</style>")[0]
    (svg, _) = page.sources
    assert "50%25 of %231 isn%27t" in svg


def test_the_same_results_give_the_same_bytes(report):
    assert report()[1].html == report()[1].html


def test_what_comes_from_files_is_escaped(report, results):
    edit(results / "table2.csv", lambda text: text.replace("fastest within", HOSTILE.replace('"', '""')))
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
    assert "i" not in page.tags
    assert page.tags.count("script") == 2


def test_data_cannot_end_its_script_element(report, results):
    edit(results / "speed_accuracy.csv", lambda text: text.replace(",FastBERT with reverse KL,", ",</script><b>,"))
    _, page, _ = report()
    assert "</script><b>" in [model["model"] for model in page.data["sliders"][SLIDER]]
    assert "b" not in page.tags


def test_captions_name_the_papers_tables_only_where_its_numbers_stand(results):
    (shown,) = [shown for shown in OF_ALL_TASKS if shown.table == "table2"]
    rows = read_table(results, "table2")
    assert "<caption>Table 2: every model and speed beside the paper&#x27;s<" in shown_html(shown, rows)
    against_it = [name for name in rows if name.startswith(("reported", "paper", "relative", "verdict", "difference"))]
    page = shown_html(shown, rows.assign(task="tickets", note=None, **dict.fromkeys(against_it)))
    assert "<caption>Every model and speed<" in page
    assert "paper" not in page


def test_a_speedup_below_1_is_explained(results):
    (shown,) = [shown for shown in OF_ALL_TASKS if shown.table == "table2"]
    rows = read_table(results, "table2")
    assert BELOW_ONE not in shown_html(shown, rows.assign(speedup=1.5))
    assert BELOW_ONE in shown_html(shown, rows.assign(speedup=0.18))
