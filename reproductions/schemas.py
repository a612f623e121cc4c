"""The columns of every results CSV: name, meaning, unit, bounds and decimals, in the file's order.

A schema's `unique` columns are its key: no two rows share it, and the file is sorted by it. Accuracies and shares are
per cent, differences and losses points, `mflops` millions of FLOPs of a sample in the paper's unit. An interval is a
95% one. Where several runs make a row, `seeds` and `run_id` list them, joined by ";".
"""

import json
import re

import pandera.pandas as pa

from fastbert_core.tasks import SAFE_NAME

PROFILES = ("smoke", "standard", "paper", "offline")
VERDICTS = ("reproduced", "deviates", "not comparable", "misprint")
RELATIVE_VERDICTS = ("reproduced", "deviates")
LUHA_VERDICTS = ("holds", "fails", "undecided")
STAGES = ("fine-tuning", "self-distillation")
WHOLE = "Int64"


def _text(about: str, pattern: str | None = None, one_of: tuple[str, ...] = (), optional: bool = False) -> pa.Column:
    checks = []
    if pattern:
        # Not pandera's own str_matches, which is content with a line end behind the text.
        matches = re.compile(pattern).fullmatch
        checks.append(pa.Check(lambda text: matches(text) is not None, element_wise=True, error=f"text like {pattern}"))
    if one_of:
        checks.append(pa.Check.isin(one_of, error=f"one of {', '.join(one_of)}"))
    return pa.Column(str, checks, nullable=optional, description=about)


def _number(
    about: str, decimals: int, low: float | None = None, high: float | None = None, optional: bool = False
) -> pa.Column:
    return pa.Column(float, _bounds(low, high), nullable=optional, description=about, metadata={"decimals": decimals})


def _whole(about: str, low: int = 0, high: int | None = None, optional: bool = False) -> pa.Column:
    return pa.Column(WHOLE, _bounds(low, high), nullable=optional, description=about)


def _bounds(low: float | None, high: float | None) -> list[pa.Check]:
    checks = []
    if low is not None:
        checks.append(pa.Check.ge(low, error=f"a number of at least {low:g}"))
    if high is not None:
        checks.append(pa.Check.le(high, error=f"a number of at most {high:g}"))
    return checks


def _json(about: str) -> pa.Column:
    return pa.Column(str, pa.Check(_is_json_object, element_wise=True, error="a JSON object"), description=about)


def _is_json_object(value: str) -> bool:
    try:
        return isinstance(json.loads(value), dict)
    except (ValueError, RecursionError):
        return False


def _schema(key: tuple[str, ...], columns: dict[str, pa.Column]) -> pa.DataFrameSchema:
    return pa.DataFrameSchema(columns, unique=list(key), strict=True, ordered=True, coerce=True)


def _percent(about: str, optional: bool = False) -> pa.Column:
    return _number(about, 2, 0, 100, optional)


def _points(about: str) -> pa.Column:
    return _number(about, 2, -100, 100, optional=True)


def _p(about: str) -> pa.Column:
    return _number(about, 6, 0, 1, optional=True)


_ID = r"\w[\w.-]*"
TASK = _text("task", SAFE_NAME.pattern)
MODEL = _text("model: BERT, DistilBERT or FastBERT, as the paper's tables name it")
SPEED = _number("speed: a sample leaves at the first layer whose uncertainty lies below it", 2, 0, 1)
RUN_ID = _text("the runs behind the row, as in runs.csv", rf"{_ID}(;{_ID})*")
SEEDS = _text("seeds averaged", r"\d+(;\d+)*")
COST = {
    "mean_layers": _number("mean executed layers", 3, 1),
    "mflops": _number("mean FLOPs of a sample, in millions, paper's unit", 3, 0),
    "speedup": _number("FLOPs of our dense teacher over ours", 3, 0),
}
INTERVAL = {
    "accuracy_low": _percent("lower end of the accuracy's interval"),
    "accuracy_high": _percent("upper end of the accuracy's interval"),
}
SEED_RANGE = {
    "accuracy_min": _percent("accuracy of the worst seed"),
    "accuracy_max": _percent("accuracy of the best seed"),
}
REPORTED = {
    "reported_accuracy": _percent("accuracy that the paper prints", optional=True),
    "reported_mflops": _number("FLOPs that the paper prints, in millions", 1, 0, optional=True),
    "reported_speedup": _number("speedup that the paper prints", 2, 0, optional=True),
}
PAPER_ROW = {
    "task": TASK,
    "model": MODEL,
    "setting": _text("depth or speed"),
    "accuracy": _percent("accuracy on the test set"),
    **COST,
    "seeds": SEEDS,
    **INTERVAL,
    **REPORTED,
    "verdict": _text("measured against reported accuracy", one_of=VERDICTS, optional=True),
    "verdict_relative": _text(
        "loss against our own teacher, at the paper's mean executed layers, beside the paper's loss",
        one_of=RELATIVE_VERDICTS,
        optional=True,
    ),
    "note": _text("what to know: data, encoder, misprints with their arithmetic", optional=True),
    "run_id": RUN_ID,
    **SEED_RANGE,
    "difference_low": _points("measured - reported accuracy, lower end"),
    "difference_high": _points("measured - reported accuracy, upper end"),
    "paper_layers": _number("the paper's mean executed layers: its FLOPs / 1853.915M", 3, 1, optional=True),
    "relative_loss": _points("our teacher's accuracy - ours at the paper's mean executed layers"),
    "relative_loss_low": _points("lower end of its paired interval"),
    "relative_loss_high": _points("upper end of its paired interval"),
    "reported_loss": _points("the paper's BERT - its accuracy"),
    "train_rows": _whole("training rows", 1),
    "test_rows": _whole("test rows", 1),
    "backbone": _text("pre-trained encoder"),
    "data_sha256": _text("hash of the data"),
}

SCHEMAS: dict[str, pa.DataFrameSchema] = {
    "table2": _schema(("task", "model", "setting"), PAPER_ROW),
    "table3": _schema(("task", "model", "setting"), PAPER_ROW),
    "comparisons": _schema(
        ("task", "setting", "against", "against_setting"),
        {
            "task": TASK,
            "setting": _text("FastBERT's setting"),
            "against": _text("the other model", one_of=("BERT", "DistilBERT")),
            "against_setting": _text("its setting"),
            "difference": _points("FastBERT's accuracy - the other's, on the same samples"),
            "difference_low": _points("lower end of its paired interval"),
            "difference_high": _points("upper end of its paired interval"),
            "without_loss": _text("whether the interval of the loss lies below 0.5 points", one_of=("yes", "no")),
            "seeds": SEEDS,
            "mcnemar_seed": _whole("seed whose two runs McNemar's test compares"),
            "only_fastbert_right": _whole("samples that only FastBERT has right"),
            "only_other_right": _whole("samples that only the other has right"),
            "mcnemar_p": _p("McNemar's exact two-sided p"),
            "mcnemar_p_holm": _p("the same, Holm-corrected over this table"),
            "run_id": RUN_ID,
        },
    ),
    "speed_accuracy": _schema(
        ("task", "model", "speed"),
        {
            "task": TASK,
            "model": MODEL,
            "speed": SPEED,
            "accuracy": _percent("accuracy on the test set"),
            **COST,
            **INTERVAL,
            "run_id": RUN_ID,
            "seeds": SEEDS,
            **SEED_RANGE,
            "reported_accuracy": _percent("accuracy that figure 3 shows", optional=True),
            "reported_speedup": _number("speedup that figure 3 shows", 2, 0, optional=True),
        },
    ),
    "luha": _schema(
        ("task", "seed", "layer", "bin"),
        {
            "task": TASK,
            "seed": _whole("seed"),
            "layer": _whole("layer of the classifier", 1),
            "classifier": _text("student or teacher", one_of=("student", "teacher")),
            "bin": _text("uncertainty bin, [low, high), or all", r"all|[01]\.\d-[01]\.\d"),
            "samples": _whole("samples in the bin"),
            "percent": _percent("share of all samples that lie in the bin"),
            "accuracy": _percent("accuracy in the bin", optional=True),
            "accuracy_low": _percent("lower end of its Wilson interval", optional=True),
            "accuracy_high": _percent("upper end of its Wilson interval", optional=True),
            "rise_p": _p(
                "one-sided p that the bin is more accurate than the one before it with samples, Holm-corrected"
            ),
            "spearman": _number("rank correlation of uncertainty with correctness", 4, -1, 1, optional=True),
            "auroc": _number("uncertainty as a detector of errors", 4, 0, 1, optional=True),
            "trend_z": _number("Cochran-Armitage trend of accuracy along the bins", 3, optional=True),
            "trend_p": _p("its permutation p, Holm-corrected over the classifiers"),
            "verdict": _text("on the classifier", one_of=LUHA_VERDICTS, optional=True),
            "note": _text("whether the bin holds too few samples to say much", optional=True),
            "reported_accuracy": _percent("accuracy that figure 4 prints", optional=True),
            "run_id": RUN_ID,
        },
    ),
    "exit_layers": _schema(
        ("task", "speed", "exit_layer"),
        {
            "task": TASK,
            "speed": SPEED,
            "exit_layer": _whole("executed layers", 1),
            "percent": _percent("share of the test samples that leave there"),
            "mean_layers": _number("mean over the samples", 3, 1),
            "median_layers": _number("median over the samples", 1, 1),
            "samples": _whole("test samples of a run", 1),
            "seeds": SEEDS,
            "reported_percent": _percent("share that figure 5 shows", optional=True),
            "run_id": RUN_ID,
        },
    ),
    "uncertainty": _schema(
        ("task", "speed", "layer", "bin_low"),
        {
            "task": TASK,
            "speed": SPEED,
            "layer": _whole("layer of the classifier", 1),
            "bin_low": _number("lower end of the uncertainty bin, included", 2, 0, 1),
            "bin_high": _number("upper end, excluded unless it is 1", 2, 0, 1),
            "samples": _whole("samples that reach the layer and fall into the bin, all seeds together"),
            "percent": _percent("their share of the samples that reach the layer", optional=True),
            "seeds": SEEDS,
            "run_id": RUN_ID,
        },
    ),
    "convergence": _schema(
        ("task", "epoch"),
        {
            "task": TASK,
            "epoch": _whole("epochs trained; 0 is before training"),
            "stage": _text("stage of training", one_of=STAGES),
            "stage_epoch": _whole("epochs of this stage"),
            "speed": _number("speed, in self-distillation", 2, 0, 1, optional=True),
            "accuracy": _percent("accuracy on the dev rows"),
            **COST,
            **INTERVAL,
            "samples": _whole("dev rows", 1),
            "seeds": SEEDS,
            "reported_accuracy": _percent("accuracy that figure 7 shows", optional=True),
            "reported_mflops": _number("FLOPs that figure 7 shows, in millions", 1, 0, optional=True),
            "run_id": RUN_ID,
        },
    ),
    "true_macs": _schema(
        ("task", "seed", "speed"),
        {
            "task": TASK,
            "seed": _whole("seed"),
            "speed": SPEED,
            "mean_tokens": _number("mean tokens of a test text, special tokens included", 2, 1),
            "padded_percent": _percent("share of 128 positions that would be padding"),
            "mean_layers": COST["mean_layers"],
            "speedup": COST["speedup"],
            "true_speedup": _number("the same in true MACs, on unpadded texts", 3, 0),
            "true_mmacs": _number("true MACs of a sample by adaptive inference, in millions", 3, 0),
            "dense_true_mmacs": _number("true MACs of a sample by the dense model, in millions", 3, 0),
            "dense_padded_mmacs": _number("the same on a text padded to 128 tokens", 3, 0),
            "run_id": RUN_ID,
        },
    ),
    "padding": _schema(
        ("task", "exit_layer"),
        {
            "task": TASK,
            "backbone": _text("encoder whose tokenizer counts"),
            "backbone_sha256": _text("hash of its folder", "[0-9a-f]{64}"),
            "data_source": _text("where the text came from"),
            "data_sha256": _text("hash of the data", "[0-9a-f]{64}"),
            "test_rows": _whole("test rows", 1),
            "mean_tokens": _number("mean tokens of a test text, special tokens included", 2, 1),
            "padded_percent": _percent("share of 128 positions that would be padding"),
            "at_limit_percent": _percent("share of texts of 128 tokens, most of them cut"),
            "dense_true_mmacs": _number("true MACs of a text by the dense model, in millions", 3, 0),
            "dense_padded_mmacs": _number("the same on a text padded to 128 tokens", 3, 0),
            "exit_layer": _whole("layer at which every text is taken to leave", 1),
            "speedup": _number("speedup then, in the paper's unit", 3, 0),
            "true_speedup": _number("the same in true MACs, on unpadded texts", 3, 0),
        },
    ),
    "runs": _schema(
        ("task", "model", "variant", "seed"),
        {
            "run_id": _text("hash of settings, data and backbone", _ID),
            "task": TASK,
            "model": _text("model, as trace files name it", r"[a-z0-9]+"),
            "variant": _text("variant, as trace files name it", r"[a-z0-9-]+"),
            "seed": _whole("seed"),
            "profile": _text("profile", one_of=PROFILES),
            "git_sha": _text("commit of the code when the run started", "[0-9a-f]{40}", optional=True),
            "git_dirty": _text("whether files differed from it", one_of=("yes", "no"), optional=True),
            "resumed_at": _text("other commits that went on with the run, joined by ;", optional=True),
            "date": _text("when it started, ISO 8601", r"\d{4}-\d\d-\d\d(T[\d:.]+(Z|[+-]\d\d:\d\d)?)?"),
            "command": _text("command line"),
            "backbone": _text("pre-trained encoder"),
            "backbone_sha256": _text("hash of its weights", "[0-9a-f]{64}"),
            "data_source": _text("where the text came from"),
            "data_sha256": _text("hash of the data", "[0-9a-f]{64}"),
            "train_rows": _whole("training rows", 1),
            "dev_rows": _whole("dev rows"),
            "test_rows": _whole("test rows", 1),
            "hyperparameters": _json("settings of the training"),
            "precision": _text("precision of the training"),
            "device": _text("processor or GPU"),
            "threads": _whole("CPU threads", 1),
            "versions": _json("versions of Python and the libraries"),
            "wall_seconds": _number("wall-clock time of the run", 1, 0),
        },
    ),
}
