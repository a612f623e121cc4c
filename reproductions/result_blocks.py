"""Blocks of the pages on results: what an early exit costs and wins, and whether the models are to be believed."""

import json
from functools import partial

import numpy as np
import pandas as pd

from fastbert_core.tasks import TASKS
from reproductions.blocks import BLOCKS, Tables, block, in_order, markdown
from reproductions.doubts import CONFIDENCE_GAP
from reproductions.equal_flops import DISTILBERT, ON_LABELS, ONE_STUDENT
from reproductions.figure4_luha import FEW
from reproductions.grid_effects import effects
from reproductions.significance import ALPHA, significant
from reproductions.speeds import CHOSEN, PAPER_SPEEDS, TOLERATED_LOSS, at_chosen_speed
from reproductions.verdicts import VERDICTS

CLASSIFIER = ["task", "seed", "layer"]
SMALL = 5  # points that a rise of accuracy from bin to bin may be without being much


def _sides(row: dict) -> dict[str, str]:
    """What a row of equal_flops.csv compares."""
    p = row["mcnemar_p_holm"]
    return {
        "its accuracy": f"{row['against_accuracy']:.2f} at {row['mflops']:.0f}M",
        "FastBERT": f"{row['accuracy']:.2f}",
        "difference": f"{row['difference']:+.2f} [{row['difference_low']:+.2f}, {row['difference_high']:+.2f}]",
        "p": "" if pd.isna(p) else "< 0.0001" if p < 1e-4 else f"{p:.4f}",
    }


def _told(rows: pd.DataFrame) -> str:
    better, worse = _won_and_lost(rows)
    return f"is better in {better} of {len(rows)} comparisons and worse in {worse}"


def _won_and_lost(rows: pd.DataFrame) -> tuple[int, int]:
    """Rows of equal_flops.csv in which FastBERT is significantly better, and worse."""
    return (significant(rows) > 0).sum(), (significant(rows) < 0).sum()


def _against(tables: Tables, model: str) -> pd.DataFrame:
    return tables["equal_flops"].query("against == @model")


@block
def headline(tables: Tables) -> str:
    """Five findings, each with the page that shows it whole."""
    chosen = at_chosen_speed(tables["table2"], tables["comparisons"])
    verdicts = tables["table2"]["verdict_relative"]
    kept = f"{(chosen['without_loss'] == 'yes').sum()} of {len(chosen)} tasks"
    distilbert, classifiers = _against(tables, DISTILBERT), tables["luha"].query("bin == 'all'")
    on_cpu = tables["efficiency"].query("device == 'cpu'")
    exits, overhead = on_cpu.query("speed > 0")["efficiency"], on_cpu["overhead_at_speed_0"]
    counts = [f"{(verdicts == verdict).sum()} {verdict}" for verdict in VERDICTS]
    better, worse = _won_and_lost(distilbert)
    findings = {
        f"FLOPs at the fastest speed that costs at most {TOLERATED_LOSS} points on dev": (
            f"{chosen['speedup'].median():.1f}x fewer in the median, {chosen['speedup'].min():.1f}x to "
            f"{chosen['speedup'].max():.1f}x; on {kept} the test set's interval of the loss lies below it"
            " ([by task](docs/results.md#what-an-early-exit-costs))"
        ),
        "Loss to the own teacher beside the paper's, at its mean layers": (
            f"{', '.join(counts)} of {(verdicts != '').sum()} ([rule](results/README.md#verdicts))"
        ),
        "Accuracy beside DistilBERT's, at equal FLOPs": (
            f"better in {better} of {len(distilbert)}, worse in {worse}, after Holm's correction"
            " ([by depth](docs/questions.md#does-fastbert-beat-distilbert-at-equal-flops))"
        ),
        "The lower the uncertainty, the higher the accuracy (LUHA)": (
            f"as a trend for {(classifiers['verdict'] == 'holds').sum()} of {len(classifiers)} classifiers; "
            f"it rises significantly between bins with {(classifiers['isotonic_p'] < ALPHA).sum()}, but rises of up to "
            f"{classifiers['largest_rise_high'].max():.1f} points between small bins are not ruled out "
            "([by task](docs/results.md#luha))"
        ),
        "Measured speedup of the layers over FLOPs speedup, in the engine on a CPU": (
            f"{exits.min():.2f} to {exits.max():.2f}, both over the engine at speed 0, which takes "
            f"{overhead.min():.2f} to {overhead.max():.2f} times as long as the plain encoder "
            "([seconds](docs/performance.md))"
        ),
    }
    return markdown([{"what": what, "found": found} for what, found in findings.items()])


@block
def believed(tables: Tables, group: str = "") -> str:
    """What speaks for each teacher of the paper's tasks, and with a dagger beside it what speaks against it."""
    runs, calibration, table2 = (tables[group + name] for name in ("runs", "calibration", "table2"))
    runs = runs.set_index("run_id")
    of_seeds = calibration.query("fitted == 'no'").groupby("task")["confidence"].mean()
    lines = []
    for bert in table2.query("model == 'BERT'").itertuples():
        classes, mine = len(TASKS[bert.task].classes), runs.loc[bert.run_id.split(";")]
        baseline, best = (mine[name].astype(float).max() for name in ("baseline_accuracy", "best_epoch"))
        epochs = json.loads(mine["hyperparameters"].iloc[0])["fine_tuning_epochs"]
        confidence = of_seeds.get(bert.task, float("nan"))
        told = {
            "a regression on frozen vectors": (f"{baseline:.2f}", baseline >= bert.accuracy),
            "classes answered": (f"{bert.classes_answered} of {classes}", bert.classes_answered < classes),
            "sure on average": (f"{confidence:.1f}", abs(confidence - bert.accuracy) > CONFIDENCE_GAP),
            "best epoch": (f"{best:.0f} of {epochs}", best == epochs),
        }
        cells = {name: "" if "nan" in text else text + " †" * bool(bad) for name, (text, bad) in told.items()}
        lines.append({"task": bert.task, "teacher": f"{bert.accuracy:.2f}"} | cells)
    return markdown(lines)


# The same of tasks beside the paper's that have one label.
BLOCKS["believed_more"] = partial(believed, group="more/")


@block
def dbpedia(tables: Tables) -> str:
    """What `run dbpedia` prints as committed."""
    rows = tables["table2"].query("task == 'dbpedia'")
    forms = {"accuracy": "{:.2f}", "mean_layers": "{:.2f}", "speedup": "{:.2f}x"}
    shown = rows[["model", "setting"]].assign(**{name: rows[name].map(form.format) for name, form in forms.items()})
    return markdown(shown.rename(columns=lambda column: column.replace("_", " ")))


@block
def packaged(tables: Tables) -> str:
    """What comes of text and an encoder that a package index has: the mean over seeds."""
    whole = tables["packaged/table2"].query("model == 'BERT'").set_index("task")
    baselines, lines = tables["packaged/runs"].set_index("run_id")["baseline_accuracy"].astype(float), []
    for own in at_chosen_speed(tables["packaged/table2"], tables["packaged/comparisons"]).to_dict("records"):
        task, bert = own["task"], whole.loc[own["task"]]
        lost = f"{own['loss']:+.2f} [{own['loss_low']:+.2f}, {own['loss_high']:+.2f}]"
        line = {"task": task, "training rows": f"{own['train_rows']:,}", "seeds": own["seeds"].replace(";", ", ")}
        line |= {"all layers": f"{bert['accuracy']:.2f}, macro-F1 {bert['macro_f1']:.2f}"}
        regression = baselines[bert["run_id"].split(";")].max()
        line |= {"a regression on frozen vectors": f"{regression:.2f}", "fewer FLOPs": f"{own['speedup']:.1f}x"}
        lines.append(line | {"at mean layers": f"{own['mean_layers']:.2f}", "loss": lost})
    return markdown(lines)


@block
def losses(tables: Tables) -> str:
    """What an early exit costs, by task: at the paper's mean layers beside its loss, and at the speed chosen on dev."""
    chosen, lines = at_chosen_speed(tables["table2"], tables["comparisons"]).set_index("task", drop=False), []
    rows = tables["table2"].set_index(["task", "setting"])
    for task in in_order(chosen):
        line, own = {"task": task}, chosen.loc[task]
        for speed in PAPER_SPEEDS:
            if (key := (task, f"speed={speed:g}")) in rows.index and (verdict := rows.loc[key, "verdict_relative"]):
                ours, theirs = rows.loc[key, ["relative_loss", "reported_loss"]]
                line[f"at the layers of speed {speed:g}"] = f"{ours:+.2f} (paper {theirs:+.2f}), {verdict}"
        line["chosen on dev"] = own["setting"].removesuffix(CHOSEN).strip().replace("=", " ")
        line["mean layers"] = f"{own['mean_layers']:.1f}"
        line |= {"speedup": f"{own['speedup']:.1f}x", "loss": f"{own['loss']:+.2f}"}
        lines.append(line | {"errors": f"{own['errors_added']:+.0f}%"})
    return markdown(pd.DataFrame(lines).fillna(""))


@block
def luha(tables: Tables) -> str:
    """What two tests say of each task's classifiers, and of which of them accuracy rises most with uncertainty."""
    rows, lines = tables["luha"], []
    whole, bins = rows[rows["bin"] == "all"], rows[(rows["bin"] != "all") & (rows["samples"] >= FEW)]
    for task in in_order(rows):
        mine = whole[whole["task"] == task]
        line = {"task": task, "classifiers": len(mine), "hold as a trend": (mine["verdict"] == "holds").sum()}
        line["rise by the isotonic test"] = (mine["isotonic_p"] < ALPHA).sum()
        if mine["largest_rise"].notna().any():
            most = mine.loc[mine["largest_rise"].idxmax()]
            line["largest rise"] = f"{most['largest_rise']:+.1f}, at most {most['largest_rise_high']:+.1f}"
            low, high = _largest_rise(bins[(bins[CLASSIFIER] == most[CLASSIFIER]).all(axis=1)])
            line["at"] = f"seed {most['seed']}, layer {most['layer']}: {low['bin']} to {high['bin']}"
            line["their samples"] = f"{low['samples']}, {high['samples']}"
        lines.append(line)
    falling, small = (whole["largest_rise"] < 0).sum(), (whole["largest_rise_high"] < SMALL).sum()
    told = f"{falling} of {len(whole)} classifiers are less accurate in each of these bins than in all before it"
    table = markdown(pd.DataFrame(lines).fillna(""))
    return f"{told}; for {small} the bound is below {SMALL} points.\n\n{table}"


def _largest_rise(bins: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """The two of a classifier's bins, the earlier first, between which accuracy rises most, or falls least."""
    accuracy = bins["accuracy"].to_numpy()
    rises = np.where(np.tri(len(bins), dtype=bool), -np.inf, accuracy[None, :] - accuracy[:, None])
    return tuple(bins.iloc[at] for at in np.unravel_index(rises.argmax(), rises.shape))


@block
def students(tables: Tables) -> str:
    """Accuracy is Σ share of bin × accuracy in bin: a student's difference to the teacher, split into these two."""
    bins = tables["luha"].query("bin != 'all'").assign(right=lambda t: (t["samples"] * t["accuracy"] / 100).round())
    wide = bins.pivot_table(["samples", "right"], ["task", "layer"], "bin", "sum").astype(float)
    lines, lost, by_shares = [], 0, 0
    for task, mine in wide.groupby("task"):
        samples, right = (mine[name].droplevel("task") for name in ("samples", "right"))
        share, accuracy, depth = samples.div(samples.sum(axis=1), axis=0), right / samples, samples.index.max()
        for layer in sorted({1, depth // 2} - {0, depth}):
            gap = accuracy.loc[layer] - accuracy.loc[depth]  # a bin that one side leaves empty counts as shares alone
            full = (samples.loc[[layer, depth]] >= FEW).all()
            whole = 100 * (right.loc[layer].sum() - right.loc[depth].sum()) / samples.loc[depth].sum()
            within = 100 * (gap * (share.loc[layer] + share.loc[depth]) / 2).sum()
            lost, by_shares = lost + (whole < 0), by_shares + (whole < 0 <= within)
            line = {"task": task, "student": f"layer {layer}", "student - teacher": f"{whole:+.2f}"}
            line |= {"from the shares": f"{whole - within:+.2f}", "from accuracy within bins": f"{within:+.2f}"}
            lines.append(line | {"more accurate in": f"{(gap[full] > 0).sum()} of {full.sum()} bins"})
    less = f"{lost} of {len(lines)} students are less accurate than their teacher"
    return f"{less}; within bins, {by_shares} of these are not.\n\n{markdown(lines)}"


@block
def one_student(tables: Tables) -> str:
    """The best student on dev, alone, against adaptive inference at its FLOPs; and all students."""
    rows, lines = _against(tables, ONE_STUDENT), []
    for row in (best := rows[rows["against_setting"].str.endswith(CHOSEN)]).to_dict("records"):
        won, lost = _won_and_lost(rows[rows["task"] == row["task"]])
        layer = row["against_setting"].removesuffix(CHOSEN).strip().replace("=", " ")
        lines.append({"task": row["task"], "best student": layer} | _sides(row) | {"depths won": won, "lost": lost})
    all_won, all_lost = _won_and_lost(rows)
    return (
        f"Against the best student adaptive inference {_told(best)}; of all {len(rows)} students it beats {all_won} "
        f"and loses to {all_lost}.\n\n{markdown(lines)}"
    )


@block
def distilbert(tables: Tables) -> str:
    """FastBERT at the FLOPs of every DistilBERT."""
    rows = _against(tables, DISTILBERT)
    lines = [
        {"task": row["task"], "DistilBERT": row["against_setting"]} | _sides(row) for row in rows.to_dict("records")
    ]
    depths = [f"{depth}: it {_told(mine)}" for depth, mine in rows.groupby("against_setting", sort=False)]
    return f"{'; '.join(depths)}.\n\n{markdown(lines)}"


@block
def on_labels(tables: Tables) -> str:
    """FastBERT against the training on labels alone, at equal FLOPs."""
    rows = _against(tables, ON_LABELS)
    return markdown(
        [{"task": row["task"], "labels": row["against_setting"]} | _sides(row) for row in rows.to_dict("records")]
    )


@block
def grid(tables: Tables) -> str:
    """What each setting of a training does to where texts leave, all else equal."""
    return markdown(effects(pd.concat([tables["grid"], tables["packaged/grid"]])))
