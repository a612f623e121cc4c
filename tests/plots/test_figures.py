"""What the figures show, held against the tables: no pixel is looked at."""

import itertools

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from plots.curves import PAPER_DENSE, PAPER_LAYER
from plots.registry import FIGURES
from plots.style import METHODS, PAPER
from reproductions.store import read_table


@pytest.fixture(scope="module")
def table(measured):
    return lambda name: read_table(measured, name)


def lines(axes, label):
    return [np.column_stack(line.get_data()).astype(float) for line in axes.lines if line.get_label() == label]


def hollow(axes):
    found = lines(axes, PAPER)
    return np.concatenate(found) if found else np.empty((0, 2))


def texts(figure):
    return "\n".join(text.get_text() for text in figure.texts)


def test_the_curve_is_the_tables(draw, table):
    rows = table("speed_accuracy").query("model == 'FastBERT'")
    left, right = draw("speed_accuracy").axes
    for axes, x in ((left, "speedup"), (right, "mean_layers")):
        np.testing.assert_array_equal(lines(axes, "FastBERT")[0], rows[[x, "accuracy"]])
        (band,) = [c for c in axes.collections if len(c.get_paths()) and len(c.get_paths()[0].vertices) > 101]
        heights = band.get_paths()[0].vertices[:, 1]
        assert (heights.min(), heights.max()) == (rows["accuracy_low"].min(), rows["accuracy_high"].max())


def test_the_papers_points_are_hollow_and_converted_to_layers(draw, table):
    left, right = draw("speed_accuracy").axes
    printed = table("speed_accuracy").dropna(subset="reported_accuracy")
    rivals = table("table2").query("model != 'FastBERT'")
    expected = {*zip(printed["reported_speedup"], printed["reported_accuracy"], strict=True)}
    expected |= {*zip(rivals["reported_speedup"], rivals["reported_accuracy"], strict=True)}
    assert {*map(tuple, hollow(left))} == expected
    assert len(printed) == 20
    layers = dict(hollow(right)[:, ::-1])  # accuracy: layers
    assert layers[81.58] == pytest.approx(1, abs=1e-3)  # speed 1 leaves at layer 1
    assert layers[86.64] == pytest.approx(PAPER_DENSE / PAPER_LAYER / 4.21)
    assert layers[83.31] == 6  # DistilBERT of 6 layers
    assert all(line.get_markerfacecolor() == "none" for line in left.lines if line.get_label() == PAPER)


def test_a_method_looks_the_same_in_every_figure(draw):
    colors = {}
    for name in ("speed_accuracy", "overview", "ablation", "convergence"):
        for axes in draw(name).axes:
            for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
                line = handle[0] if isinstance(handle, tuple) else handle
                for method in (m for m in METHODS if label in (m, f"fine-tuning: {m}")):
                    colors.setdefault(method, set()).add(to_hex(line.get_color()).upper())
    assert colors == {method: {METHODS[method].color.upper()} for method in METHODS if method in colors}
    assert {"BERT", "DistilBERT", "FastBERT", "FastBERT with reverse KL"} <= set(colors)
    for first, second in itertools.combinations(METHODS.values(), 2):
        assert first.color != second.color
        assert first.marker != second.marker


def test_a_task_with_fastbert_alone_is_drawn(draw):
    only = {"speed_accuracy": lambda rows: rows[rows["model"] == "FastBERT"]}
    alone = draw("speed_accuracy", **only, table2=lambda rows: rows[rows["model"].isin(["BERT", "FastBERT"])])
    labels = {label for axes in alone.axes for label in axes.get_legend_handles_labels()[1]}
    assert "BERT" in labels
    assert "DistilBERT" not in labels
    ablation = draw("ablation", **only, table3=lambda rows: rows[~rows["model"].str.contains("self|KL")])
    assert "FastBERT without adaptive inference: fixed depth" in ablation.axes[0].get_legend_handles_labels()[1]


def test_an_overview_has_a_panel_for_each_task(draw):
    def four(rows):
        return pd.concat([rows.assign(task=f"task-{number}") for number in range(4)])

    figure = draw("overview", speed_accuracy=four, table2=four)
    assert [axes.get_title() for axes in figure.axes] == [f"task-{number} (n = 60)" for number in range(4)]
    assert [axes.get_xlabel() != "" for axes in figure.axes] == [False, True, True, True]


def test_the_largest_gap_from_a_straight_line_is_named(draw):
    def bent(rows):
        rows = rows[rows["model"] == "FastBERT"]
        return rows.assign(speedup=1 + 10 * rows["speed"] - 4 * (rows["speed"] == 0.5), reported_speedup=np.nan)

    (axes,) = draw("speed_speedup", speed_accuracy=bent).axes
    assert axes.get_title().endswith("largest gap -4.0× at speed 0.5")
    np.testing.assert_allclose(lines(axes, "a straight line")[0][:, 1], 1 + 10 * np.arange(101) / 100)
    assert len(hollow(axes)) == 0


def test_luha_has_a_panel_for_each_classifier_with_the_papers_numbers_in_three(draw, table):
    rows = table("luha")
    figure = draw("luha")
    assert len(figure.axes) == 12
    for layer, axes in enumerate(figure.axes, start=1):
        mine = rows[(rows["layer"] == layer) & (rows["bin"] != "all")]
        whole = rows[(rows["layer"] == layer) & (rows["bin"] == "all")].iloc[0]
        assert axes.get_title() == f"layer {layer}: {whole['verdict']}, AUROC {whole['auroc']:.2f}"
        assert [bar.get_height() for bar in axes.patches] == mine["percent"].tolist()
        np.testing.assert_array_equal(hollow(axes)[:, 1], mine["reported_accuracy"].dropna())
        assert len(hollow(axes)) == (10 if layer in (1, 6, 12) else 0)
        (errorbar,) = [c for c in axes.containers if hasattr(c, "has_yerr")]
        np.testing.assert_array_equal(errorbar[0].get_ydata(), mine["accuracy"].dropna())


def test_further_seeds_of_luha_are_lines(draw):
    figure = draw("luha", luha=lambda rows: pd.concat([rows, rows.assign(seed=8)]))
    assert all(len(lines(axes, "other seeds")) == 1 for axes in figure.axes)
    assert "of seed 7" in texts(figure)


def test_exit_layers_are_bars_with_mean_and_median(draw, table):
    figure = draw("exit_layers")
    for axes, speed in zip(figure.axes, (0.8, 0.5, 0.3), strict=True):
        mine = table("exit_layers").query(f"speed == {speed}")
        assert [bar.get_height() for bar in axes.patches] == mine["percent"].tolist()
        assert lines(axes, "mean")[0][0, 0] == mine["mean_layers"].iloc[0]
        assert lines(axes, "median")[0][0, 0] == mine["median_layers"].iloc[0]
        np.testing.assert_array_equal(hollow(axes), mine[["exit_layer", "reported_percent"]].astype(float))


def test_uncertainty_is_shaded_by_layer_and_bin(draw, table):
    figure = draw("uncertainty")
    for axes, speed in zip(figure.axes, (0, 0.3, 0.5, 0.8), strict=False):  # the last axes are the colour bar's
        mine = table("uncertainty").query(f"speed == {speed}")
        shares = axes.collections[0].get_array()
        for layer, low in ((1, 0.0), (3, 0.45), (12, 0.95)):
            expected = mine.query(f"layer == {layer} and bin_low == {low}")["percent"].iloc[0]
            shown = shares[round(low * 20), layer - 1]
            assert np.ma.is_masked(shown) if np.isnan(expected) else shown == expected
        reaching = mine.groupby("layer")["samples"].sum()
        assert axes.texts[0].get_text() == "100"
        share = 100 * reaching[12] / 60
        assert axes.texts[11].get_text() == ("<1" if 0 < share < 1 else f"{share:.0f}")
        assert len(axes.lines) == (speed > 0)


def test_convergence_tells_stages_apart_and_says_what_lies_below(draw, table):
    rows = table("convergence")
    untrained = {"convergence": lambda rows: rows.assign(accuracy=rows["accuracy"].where(rows["epoch"] > 0, 7.1))}
    left, right = draw("convergence", **untrained).axes
    assert sorted(text.get_text() for text in left.texts) == ["epoch 0: 7.1, the paper's 51.0 ↓"]
    assert left.get_ylim()[0] > 51
    drawn = np.concatenate([line.get_xydata() for line in right.lines if line.get_label() != PAPER])
    np.testing.assert_allclose(drawn, np.column_stack([rows["epoch"], 100 / rows["speedup"]]))
    np.testing.assert_allclose(hollow(right)[:, 1], 100 * rows["reported_mflops"] / PAPER_DENSE)
    labels = left.get_legend_handles_labels()[1]
    assert {"fine-tuning: BERT", "self-distillation: FastBERT at speed 0.5"} <= set(labels)


def test_the_ablation_shows_variants_at_equal_cost(draw, table):
    (axes,) = draw("ablation").axes
    rows = table("table3")
    fixed = rows[rows["model"] == "FastBERT without adaptive inference"].sort_values("mean_layers")
    assert fixed["mean_layers"].tolist() == list(range(1, 13))
    (errorbar,) = axes.containers
    np.testing.assert_array_equal(errorbar[0].get_xydata(), fixed[["mean_layers", "accuracy"]])
    shown = rows.dropna(subset=["paper_layers", "reported_accuracy"])
    assert {*map(tuple, hollow(axes))} == {*zip(shown["paper_layers"], shown["reported_accuracy"], strict=True)}
    assert len(shown) == 6
    for model in ("FastBERT", "FastBERT without self-distillation", "FastBERT with reverse KL"):
        assert len(lines(axes, model)[0]) == 101


@pytest.mark.parametrize("name", FIGURES)
def test_labels_units_samples_and_seed_are_stated_and_nothing_overlaps(draw, name):
    figure = draw(name)
    said = texts(figure)
    assert "n = 60 " in said
    assert "seed 7;" in said
    assert "20000 training rows" in said
    assert "google-bert/bert-base-chinese" in said
    assert "code 0000000" in said
    assert all(axes.get_xlabel() or axes.get_ylabel() for axes in (figure.axes[0], figure.axes[-1]))
    boxes = [text.get_window_extent() for text in figure.texts]
    boxes += [legend.get_window_extent() for legend in figure.legends]
    boxes += [axes.get_tightbbox() for axes in figure.axes]
    page = figure.bbox.padded(0.5)
    assert all(page.x0 <= box.x0 and page.y0 <= box.y0 and box.x1 <= page.x1 and box.y1 <= page.y1 for box in boxes)
    assert not [pair for pair in itertools.combinations(boxes, 2) if pair[0].padded(-1).overlaps(pair[1].padded(-1))]
