"""The paper's numbers redone by arithmetic: what cannot be right is what reproductions/paper/misprints.csv lists.

How the paper prints tables 2 and 3, found by trial: the rows of BERT and FastBERT truncate FLOPs and speedup, so the
true FLOPs lie in [printed, printed + 1)M; those of DistilBERT round both; accuracies are rounded.
"""

from math import ceil, floor
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pytest

from fastbert_core.flops import BERT_BASE, FLOPS_PER_MAC, PAPER_TOKENS, dense_flops, paper_flops, paper_operations
from fastbert_core.tasks import get_task
from reproductions import reported

PROJECT = Path(__file__).parents[2]

# FLOPs in the paper's unit, in millions.
DENSE = dense_flops(BERT_BASE) / 1e6  # 21785.25
EXECUTED = paper_flops(BERT_BASE, 1) / 1e6  # 1853.92: one executed layer with its classifier
DEEPEST = paper_flops(BERT_BASE, BERT_BASE.layers) / 1e6  # 22246.98
DIGITISED = 0.005  # figures 3 and 5 were read to two decimals


class Check(NamedTuple):
    """A number of the paper and the interval that arithmetic leaves it.

    name: the kind of check
    quantity: what `printed` is: mflops, speedup, accuracy, layers, percent, claim (words, with a number that fits them)
    misprinted: which quantity of the row is wrong if the check fails; another than `quantity` is listed by its own
    correct: what it should be, None where nothing tells
    said: how the paper says it, where it says it in words
    """

    source: str
    task: str
    model: str
    setting: str
    name: str
    quantity: str
    printed: float
    bounds: tuple[float, float]
    arithmetic: str
    correct: float | None = None
    misprinted: str = ""
    said: str = ""

    @property
    def holds(self):
        return round(self.bounds[0], 6) <= self.printed <= round(self.bounds[1], 6)


def truncated(number, decimals=0):
    return floor(number * 10**decimals) / 10**decimals


def around(number, tolerance=DIGITISED):
    return number - tolerance, number + tolerance


def exactly(number):
    return number, number


def sizes(paper):
    """The samples of each task's test set."""
    return paper["datasets"].set_index("task")["test_rows"]


def number_in(setting):
    """6 of `6 layers`, 2 of `layer=2`, 0.5 of `speed=0.5`."""
    return float(setting.removesuffix(" layers").split("=")[-1])


def by_operation():
    """Table 1 by arithmetic: block -> operation -> millions of FLOPs, the second 128->128 layer for all tokens."""
    *operations, dense = paper_operations(BERT_BASE)
    blocks = {"Transformer": {}, "Classifier": {}}
    for operation in (*operations, dense._replace(once=0, per_token=dense.once)):
        blocks[operation.block][operation.name] = FLOPS_PER_MAC * operation.macs(PAPER_TOKENS) / 1e6
    return {block: parts | {"total": sum(parts.values())} for block, parts in blocks.items()}


TRANSFORMER, CLASSIFIER = (parts["total"] for parts in by_operation().values())  # 1811.94, 46.14


def check_table1(paper):
    """Each operation, printed to one decimal (some are truncated, some rounded), and the totals."""
    for block, exact in by_operation().items():
        printed = paper["table1"].query("block == @block").set_index("operation")["mflops"].dropna()
        for operation, mflops in printed.items():
            row, right = ("table 1", "", block, operation), round(exact[operation], 1)
            bounds, text = (truncated(exact[operation], 1), right), f"2 × MACs = {exact[operation]:.2f}M"
            yield Check(*row, "FLOPs by arithmetic", "mflops", mflops, bounds, text, right)
        parts, added = printed.drop("total"), round(printed.drop("total").sum(), 1)
        text = f"the printed parts, {' + '.join(map(str, parts))}, add up to {added}M"
        right = round(exact["total"], 1)
        yield Check(*row, "sum of the parts", "mflops", printed["total"], exactly(added), text, right)


def check_results(paper, table):
    """The rows of "table2" or "table3": FLOPs, the speedup that follows from them, and figure 3's word on both."""
    figure = paper["figure3_speed_accuracy"].set_index(["task", "speed"])
    for printed in paper[table].itertuples():
        row = (table.replace("table", "table "), printed.task, printed.model, printed.setting)
        fast, distilled = printed.model == "FastBERT", printed.model == "DistilBERT"
        drawn = figure.loc[(printed.task, number_in(printed.setting))] if fast else None
        # The English DistilBERT rows count no classifier, in themselves or in the BERT that they are held against.
        encoder_alone = distilled and get_task(printed.task).language == "en"
        dense = BERT_BASE.layers * TRANSFORMER if encoder_alone else DENSE
        if "speed=" in printed.setting:
            yield check_within_depth(row, printed, drawn)
        else:
            yield from check_fixed_depth(row, printed, dense, encoder_alone)
        yield check_speedup(row, printed, drawn, dense)
        if printed.model == "BERT":  # speed 0 never exits, so it gives the teacher's answers
            drawn = figure.loc[(printed.task, 0.0)]
        if drawn is not None:
            text = f"figure 3 draws {drawn.accuracy:.2f}"
            yield Check(*row, "accuracy in figure 3", "accuracy", printed.accuracy, around(drawn.accuracy), text)
        if fast and printed.task == "chnsenticorp":  # so few samples that a layer shows in the mean
            samples = sizes(paper)[printed.task]
            layers = ceil(printed.mflops * samples / EXECUTED)
            right, text = truncated(layers * EXECUTED / samples), f"{layers} layers over {samples} samples"
            yield Check(*row, "whole layers", "mflops", printed.mflops, exactly(right), text, right)


def check_within_depth(row, printed, drawn):
    """Do the FLOPs of adaptive inference lie between one executed layer and all of them?"""
    text, right = f"one executed layer takes {EXECUTED:.2f}M, all twelve {DEEPEST:.2f}M", None
    if drawn is not None and printed.mflops > DEEPEST:
        # The printed speedup is truncated, the drawn one rounded.
        low = max(DENSE / (printed.speedup + 0.01), DENSE / (drawn.speedup + DIGITISED))
        high = min(DENSE / printed.speedup, DENSE / (drawn.speedup - DIGITISED))
        text += f"; {printed.speedup:.2f}x and figure 3's {drawn.speedup:.2f}x leave {low:.0f}M to {high:.0f}M"
        right = truncated((low + high) / 2)
    bounds = truncated(EXECUTED), truncated(DEEPEST)
    return Check(*row, "FLOPs by arithmetic", "mflops", printed.mflops, bounds, text, right)


def check_fixed_depth(row, printed, dense, encoder_alone):
    """Are FLOPs and speedup those of the layers that the setting names?"""
    depth, cut = number_in(printed.setting), truncated
    if printed.model == "BERT":
        exact, text = DENSE, "twelve layers and the teacher take"
    elif printed.model == "DistilBERT":
        cut, exact = round, depth * TRANSFORMER + (0 if encoder_alone else CLASSIFIER)
        text = f"{depth:g} × {TRANSFORMER:.2f}{'' if encoder_alone else f' + {CLASSIFIER:.2f}'} ="
    else:
        exact, text = depth * EXECUTED, f"{depth:g} × {EXECUTED:.2f} ="
    mflops, speedup = cut(exact, 0), cut(dense / exact, 2)
    text = f"{text} {exact:.2f}M"
    yield Check(*row, "FLOPs by arithmetic", "mflops", printed.mflops, exactly(mflops), text, mflops)
    text = f"{dense:.2f} / {exact:.2f} = {dense / exact:.3f}"
    yield Check(*row, "speedup by arithmetic", "speedup", printed.speedup, exactly(speedup), text, speedup)


def check_speedup(row, printed, drawn, dense):
    """Does the printed speedup follow from the printed FLOPs? If not, one of them is wrong, and another check says so.

    Of two that contradict each other the FLOPs are wrong if figure 3 draws the speedup, or no classifier is counted
    (the ratio of layers is the speedup then).
    """
    speedup, mflops = printed.speedup, printed.mflops
    if printed.model == "DistilBERT":
        low, right, high = (round(dense / flops, 2) for flops in (mflops + 0.5, mflops, mflops - 0.5))
    else:
        low, right, high = (truncated(dense / flops, 2) for flops in (mflops + 1, mflops, mflops))
    text, misprinted = f"{dense:.2f} / {mflops:g} = {dense / mflops:.3f}", "mflops" if dense < DENSE else "speedup"
    if drawn is not None and not low <= speedup <= high:
        text += f"; figure 3 draws {drawn.speedup:.2f}"
        if speedup - DIGITISED <= drawn.speedup <= speedup + 0.01 + DIGITISED:
            misprinted = "mflops"
    return Check(*row, "speedup from FLOPs", "speedup", speedup, (low, high), text, right, misprinted)


def check_figure3(paper):
    """Each speedup is reachable, and no greater than at a higher speed: that can only let samples leave earlier."""
    least = DENSE / DEEPEST - DIGITISED
    for task, curve in paper["figure3_speed_accuracy"].groupby("task", sort=False):
        points = list(curve.sort_values("speed").itertuples())
        for index, point in enumerate(points):
            ceiling = min((later.speedup for later in points[index + 1 :]), default=DENSE / EXECUTED + DIGITISED)
            row, bounds = ("figure 3", task, "FastBERT", f"speed={point.speed:g}"), (least, ceiling)
            text = f"a higher speed runs no more layers, and the least speedup at one is {ceiling:.2f}x"
            yield Check(*row, "rises with speed", "speedup", point.speedup, bounds, text)


def check_figure5(paper):
    """The shares of each speed add up to 100, and their mean layer is that of table 2's FLOPs or figure 3's speedup."""
    table2 = paper["table2"].query("model == 'FastBERT'").set_index(["task", "setting"])
    figure3 = paper["figure3_speed_accuracy"].set_index(["task", "speed"])
    for (task, speed), shares in paper["figure5_exit_layers"].groupby(["task", "speed"], sort=False):
        row, total = ("figure 5", task, "FastBERT", f"speed={speed:g}"), shares["percent"].sum()
        bounds, text = around(100, len(shares) * DIGITISED), "shares add up to 100 per cent"
        yield Check(*row, "shares add up", "percent", round(total, 2), bounds, text)
        mean = (shares["exit_layer"] * shares["percent"]).sum() / total
        if (task, row[-1]) in table2.index:
            other, printed = "table 2", table2.loc[(task, row[-1])]
            low, high = printed.mflops / EXECUTED, (printed.mflops + 1) / EXECUTED
        else:
            other, printed = "figure 3", figure3.loc[(task, speed)]
            low, high = (DENSE / (printed.speedup + error) / EXECUTED for error in (DIGITISED, -DIGITISED))
        misread = shares["exit_layer"].sum() * DIGITISED / 100
        text = f"the shares' mean, {DENSE / (mean * EXECUTED):.2f}x; "
        text += f"{other} has {printed.speedup:.2f}x, {(low + high) / 2:.3f} layers"
        yield Check(*row, "mean layers", "layers", round(mean, 3), (low - misread, high + misread), text)


def check_figure4(paper):
    """The first student's accuracy, figure 3's at speed 1, within what figure 4's bins and figure 5's shares allow.

    Below each speed of figure 5 lie as many uncertainties of the first student as samples leave at layer 1. Between two
    speeds the samples may lie in any of the bins, so all in the best or in the worst.
    """
    first = paper["figure4_luha"].query("layer == 1")
    ends = first["uncertainty_bin"].str.split("-").str[1].astype(float)
    left = paper["figure5_exit_layers"].query("exit_layer == 1").set_index("speed")["percent"].sort_index()
    low = high = edge = before = 0
    for speed, share in (*left.items(), (1.0, 100.0)):
        bins = first["accuracy"][(ends > edge + 1e-9) & (ends < speed + 1e-9)]
        low, high = low + (share - before) * bins.min() / 100, high + (share - before) * bins.max() / 100
        edge, before = speed, share
    (task,) = first["task"].unique()
    drawn = paper["figure3_speed_accuracy"].query("task == @task and speed == 1")["accuracy"].item()
    text = f"the most that figure 4's bins give the first student with these shares; figure 3 draws {drawn:.2f}"
    row = ("figure 5", task, "FastBERT", "layer=1")
    # Misreading every share moves at most the width of the bins' accuracies that it moves samples between.
    slack = len(left) * DIGITISED * (first["accuracy"].max() - first["accuracy"].min()) / 100
    yield Check(*row, "within the bins", "accuracy", drawn, (low - slack, high + slack), text, said=f"{high:.2f}")


def check_figure7(paper):
    """Epoch by epoch against table 2 and the authors' README."""
    figure = paper["figure7_convergence"]
    tuned, distilled = (figure.query("stage == @stage") for stage in ("fine-tuning", "self-distillation"))
    readme = paper["authors_readme"].set_index(["task", "distillation_epoch"])

    def agrees(point, other, accuracy, mflops, text):
        row = ("figure 7", point.task, "FastBERT", f"epoch {point.epoch}")
        yield Check(*row, f"accuracy in {other}", "accuracy", point.accuracy, around(accuracy), text)
        yield Check(*row, f"FLOPs in {other}", "mflops", point.mflops, exactly(mflops), text)

    for point in tuned.itertuples():
        row, text = ("figure 7", point.task, "FastBERT", f"epoch {point.epoch}"), "no student runs before distillation"
        yield Check(*row, "FLOPs by arithmetic", "mflops", point.mflops, exactly(truncated(DENSE)), text)
    for point in distilled.itertuples():
        told = readme.loc[(point.task, point.epoch - len(tuned) + 1)]  # epoch 0 is before any training
        text = f"the README, of this epoch: {told.accuracy:.2f} with {told.flops / 1e6:.2f}M"
        yield from agrees(point, "README", told.accuracy, truncated(told.flops / 1e6), text)
    table2 = paper["table2"].set_index(["task", "setting"])
    for point, setting in ((tuned.iloc[-1], "12 layers"), (distilled.iloc[-1], f"speed={distilled.iloc[-1].speed:g}")):
        printed = table2.loc[(point.task, setting)]
        text = f"table 2, {setting}: {printed.accuracy:.2f} with {printed.mflops:g}M"
        yield from agrees(point, "table 2", printed.accuracy, printed.mflops, text)


def check_readme(paper):
    """The README's mean FLOPs are a whole number of executed layers over the test set: they confirm the unit."""
    distilled = paper["authors_readme"].query("distillation_epoch > 0")
    for told in distilled.itertuples():
        samples = sizes(paper)[told.task]
        layers = told.flops / 1e6 / EXECUTED * samples
        row = ("README", told.task, "FastBERT", f"epoch {told.distillation_epoch} of self-distillation")
        text = f"{told.flops:.0f} FLOPs × {samples} samples are {layers:.3f} executed layers"
        yield Check(*row, "whole layers", "layers", round(layers, 3), around(round(layers)), text)
    for task, last in distilled.groupby("task", sort=False).last().iterrows():
        printed = paper["table2"].query("task == @task and setting == 'speed=0.5'").iloc[0]
        row, text = ("README", task, "FastBERT", "speed=0.5"), f"table 2 has {printed.mflops:g}M"
        yield Check(*row, "FLOPs in table 2", "mflops", truncated(last.flops / 1e6), exactly(printed.mflops), text)


def check_counts(paper):
    """Each accuracy is a whole number of right answers, where the test set is so small that not every one is."""
    small = sizes(paper)[lambda rows: rows < 10_000]
    for table, source in (("table2", "table 2"), ("figure3_speed_accuracy", "figure 3"), ("authors_readme", "README")):
        for printed in paper[table][paper[table]["task"].isin(small.index)].itertuples():
            samples = small[printed.task]
            below = floor(printed.accuracy * samples / 100)
            shares = [100 * count / samples for count in (below, below + 1)]
            setting = getattr(printed, "setting", None) or f"speed={printed.speed:g}"
            row = (source, printed.task, getattr(printed, "model", "FastBERT"), setting)
            near = min(shares, key=lambda share: abs(share - printed.accuracy))
            text = " and ".join(f"{below + k} of {samples} are {share:.3f}" for k, share in enumerate(shares))
            yield Check(*row, "whole answers", "accuracy", printed.accuracy, around(near), text)


def check_words(paper):
    """What the text says of speedups, against table 2."""
    table2 = paper["table2"].set_index("task")
    teacher = table2.query("model == 'BERT'")["accuracy"]
    fast = dict(list(table2.query("model == 'FastBERT'").groupby("setting")))
    tasks = len(teacher)

    book = fast["speed=0.5"].loc["book-review"]
    right = round(DENSE / book.mflops, 2)
    row, text = ("text", "book-review", "FastBERT", "speed=0.5"), f"{DENSE:.2f} / {book.mflops:g} = {right}"
    yield Check(*row, "six times", "claim", 6, around(right), text, right, said="six times")

    faster, lossless = fast["speed=0.1"]["speedup"].between(2, 5), fast["speed=0.1"]["accuracy"] >= teacher
    both = faster & lossless
    text = f"in table 2 {faster.sum()} of {tasks} run 2 to 5 times as fast, {lossless.sum()} lose nothing, "
    text += f"{both.sum()} does both: {', '.join(both.index[both])}"
    row, said = ("text", "", "FastBERT", "speed=0.1"), "2 to 5 times without loss on most"
    yield Check(*row, "most", "claim", both.sum(), (tasks // 2 + 1, tasks), text, said=said)

    speedup = fast["speed=0.8"]["speedup"]
    inside, others = speedup.between(7, 11), sorted(speedup[~speedup.between(7, 11)])
    text = f"in table 2 {inside.sum()} of {tasks}; the others {', '.join(f'{other:.2f}' for other in others)}"
    row = ("text", "", "FastBERT", "speed=0.8")
    yield Check(*row, "7 to 11 times", "claim", inside.sum(), exactly(tasks), text, said="7 to 11 times")

    most = DENSE / EXECUTED
    text = f"{DENSE:.2f} / {EXECUTED:.2f} = {most:.3f}, all samples leaving at layer 1"
    row = ("text", "", "FastBERT", "speed=1")
    yield Check(*row, "12 times", "claim", 12, around(most), text, truncated(most, 2), said="1 to 12 times")


def checks(paper):
    return [
        *check_table1(paper),
        *check_results(paper, "table2"),
        *check_results(paper, "table3"),
        *check_figure3(paper),
        *check_figure4(paper),
        *check_figure5(paper),
        *check_figure7(paper),
        *check_readme(paper),
        *check_counts(paper),
        *check_words(paper),
    ]


def statements(checks):
    """What fails, as misprints.csv lists it: (where, quantity) -> printed, correct, arithmetic."""
    found = {}
    for check in checks:
        if not check.holds and check.misprinted in ("", check.quantity):
            said = check.said or f"{check.printed:g}"
            printed, correct, texts = found.setdefault((*check[:4], check.quantity), (said, check.correct, []))
            assert (printed, correct) == (said, check.correct)
            texts += [text for text in check.arithmetic.split("; ") if text not in texts]
    return {key: (printed, correct, "; ".join(texts)) for key, (printed, correct, texts) in found.items()}


@pytest.fixture(scope="module")
def paper():
    return {path.stem: reported.load(path.stem) for path in reported.FOLDER.glob("*.csv")}


@pytest.fixture(scope="module")
def made(paper):
    return checks(paper)


def test_what_cannot_be_right_is_what_the_file_lists(made):
    listed = reported.misprints().fillna({"correct": float("nan")})
    expected = {
        (row.source, task, row.model, row.setting, row.quantity): (
            row.printed,
            None if pd.isna(row.correct) else row.correct,
            row.arithmetic,
        )
        for row in listed.itertuples()
        for task in row.task.split(";")
    }
    assert statements(made) == expected
    # A check that fails because of another number of its row: that number is listed.
    assert {(*check[:4], check.misprinted) for check in made if not check.holds and check.misprinted} <= set(expected)


MISPRINTS_MORE = [
    ("table2", "task == 'chnsenticorp' and setting == 'speed=0.5'", "mflops", 3192),
    ("table3", "task == 'yelp-polarity' and setting == 'layer=6'", "speedup", 1.97),
    ("figure3_speed_accuracy", "task == 'ag-news' and speed == 0.5", "accuracy", 93.10),
    ("figure5_exit_layers", "speed == 0.3 and exit_layer == 12", "percent", 3.2),
    ("figure7_convergence", "epoch == 3", "accuracy", 86.97),
    ("figure7_convergence", "epoch == 2", "mflops", 21784),
    ("figure7_convergence", "epoch == 4", "accuracy", 86.97),
    ("authors_readme", "task == 'ag-news' and distillation_epoch == 1", "accuracy", 93.10),
    ("authors_readme", "task == 'ag-news' and distillation_epoch == 3", "flops", 2109341649),
]


def test_every_kind_of_check_fails_somewhere_or_at_a_misprint_more(paper, made):
    """Else it might hold whatever the paper said."""
    worse = {name: numbers.copy() for name, numbers in paper.items()}
    for table, cell, column, value in MISPRINTS_MORE:
        worse[table].loc[worse[table].eval(cell), column] = value
    failing = {(check.source, check.name) for found in (made, checks(worse)) for check in found if not check.holds}
    assert failing == {(check.source, check.name) for check in made}


def test_the_page_shows_the_file(made):
    lines = ["| where | quantity | printed | by arithmetic | why | effect |", "| --- " * 6 + "|"]
    for row in reported.misprints().itertuples():
        where = ", ".join(filter(None, (row.source, row.model, row.setting, *row.task.split(";"))))
        correct = "" if pd.isna(row.correct) else f"{row.correct:g}"
        lines.append(f"| {where} | {row.quantity} | {row.printed} | {correct} | {row.arithmetic} | {row.effect} |")
    page = (PROJECT / "docs" / "audit.md").read_text(encoding="utf-8")
    assert "\n".join(lines) in page
    held, count = sum(check.holds for check in made), len(made)
    told = f"Of {count} checks {held} hold. The other {count - held} fail at {len(lines) - 2} statements"
    assert told in " ".join(page.split())
