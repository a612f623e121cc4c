"""The results store: `results/<profile>/`, its CSVs and its traces. Whatever leaves it has been checked."""

import csv
import io
import re
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pandas as pd
import pandera.errors

from fastbert_core.errors import InputError
from fastbert_core.files import atomic_write, within
from fastbert_core.metrics import encoder_shape
from fastbert_core.tasks import SAFE_NAME
from fastbert_core.trace import Trace, load_trace
from reproductions.fields import WHOLE
from reproductions.learnt import giving_way
from reproductions.rows import check_widths, csv_rows
from reproductions.schemas import SCHEMAS, STAGES

_TRACE_NAME = re.compile(
    r"(?P<model>[a-z0-9]+)-(?P<variant>[a-z0-9-]+)-seed(?P<seed>\d+)-(?P<split>[a-z]+)(-epoch(?P<epoch>\d+))?\.npz"
)
TRACE_NAME_FORM = "<model>-<variant>-seed<k>-<split>[-epoch<e>].npz"


@dataclass(frozen=True)
class TraceKey:
    """What a trace is of. `model` and `variant` as in file names: fastbert default, labels or reverse-kl; distilbert
    6-layers, 3-layers or 1-layers. `epoch` numbers the epoch traces of training, None for the trained model."""

    task: str
    model: str
    variant: str
    seed: int
    split: str
    epoch: int | None = None


def trace_path(
    results_dir: Path, task: str, model: str, variant: str, seed: int, split: str, epoch: int | None = None
) -> Path:
    """Where the trace of a key lies: traces/<task>/<model>-<variant>-seed<k>-<split>[-epoch<e>].npz.

    Raises InputError if that is no place in `results_dir`, whatever the key is made of.
    """
    name = f"{model}-{variant}-seed{seed}-{split}" + ("" if epoch is None else f"-epoch{epoch}") + ".npz"
    if not SAFE_NAME.fullmatch(task) or not _TRACE_NAME.fullmatch(name):
        raise InputError(f"trace {task}/{name}: found no safe name, expected <task>/{TRACE_NAME_FORM}")
    return within(results_dir, "traces", task, name)


def trace_key(path: Path) -> TraceKey:
    """The key that a trace's path names. Raises InputError if the name has another form."""
    match = _TRACE_NAME.fullmatch(path.name)
    if not match:
        raise InputError(f"{path}: found the name {path.name}, expected {TRACE_NAME_FORM}")
    parts = match.groupdict()
    epoch = None if parts["epoch"] is None else int(parts["epoch"])
    return TraceKey(path.parent.name, parts["model"], parts["variant"], int(parts["seed"]), parts["split"], epoch)


def find_traces(results_dir: Path, **wanted: object) -> list[Path]:
    """Paths of the stored traces, sorted, whose TraceKey fields equal `wanted` (task="dbpedia", split="test", …).

    Raises InputError for a name of another form, and for one that a symbolic link leads out of `results_dir`.
    """
    folder = Path(results_dir)
    keys = {within(folder, path.relative_to(folder)): trace_key(path) for path in sorted(folder.glob("traces/*/*.npz"))}
    return [path for path, key in keys.items() if all(getattr(key, name) == want for name, want in wanted.items())]


def load_traces(results_dir: Path, runs: pd.DataFrame, **wanted: object) -> list[Trace]:
    """The traces that `find_traces` finds, each checked by `load_stored`."""
    return [load_stored(path, runs) for path in find_traces(results_dir, **wanted)]


def load_stored(path: Path, runs: pd.DataFrame) -> Trace:
    """Read one stored trace and check it against its name and against `runs` (the table "runs").

    Raises InputError if the metadata name another key than the file, the run_id is not in `runs` or stands there for
    another key, an epoch's stage is unknown, or layers or samples are missing.
    """
    trace, key = load_trace(path), trace_key(path)
    found = TraceKey(**{name: trace.metadata.get(name) for name in (field.name for field in fields(TraceKey))})
    if found != key:
        raise InputError(f"{path}: found metadata of {found}, expected {key} as the name says")
    claims = runs.loc[runs["run_id"] == trace.metadata["run_id"], ["task", "model", "variant", "seed"]]
    if claims.empty:
        raise InputError(f"{path}: found run_id {trace.metadata['run_id']}, expected one that stands in runs.csv")
    listed = [tuple(claim) for claim in claims.itertuples(index=False)]
    if (key.task, key.model, key.variant, key.seed) not in listed:
        raise InputError(f"{path}: found run_id {trace.metadata['run_id']}, which runs.csv lists for {listed[0]} only")
    stage = trace.metadata.get("stage")
    if key.epoch is not None and stage not in STAGES:
        raise InputError(f"{path}: found stage {stage!r}, expected one of {', '.join(STAGES)}")
    _check_layers(trace, path)
    expected = runs.loc[runs["run_id"] == trace.metadata["run_id"], "test_rows"].iloc[0]
    if key.split == "test" and len(trace.labels) != expected:
        raise InputError(f"{path}: found {len(trace.labels)} samples, expected the {expected} test_rows of runs.csv")
    return trace


def _check_layers(trace: Trace, path: Path) -> None:
    """A FastBERT holds every layer of its encoder; a DistilBERT, or a teacher in fine-tuning, the last alone."""
    layers, depth = trace.metadata["layers"], encoder_shape(trace).layers
    if trace.metadata["model"] == "fastbert" and trace.metadata.get("stage") != "fine-tuning":
        expected = list(range(1, depth + 1))
    elif trace.metadata["model"] == "fastbert":
        expected = [depth]
    else:
        expected = layers[:1]
    if layers != expected:
        raise InputError(f"{path}: found layers {layers}, expected {expected}")


def table_path(results_dir: Path, name: str) -> Path:
    """Where the table `name`, one of SCHEMAS, lies."""
    return within(results_dir, f"{name}.csv")


def read_table(results_dir: Path, name: str) -> pd.DataFrame:
    """Read a results CSV and hold it against its schema.

    Raises InputError, naming file and line, for a file that is not there or no CSV in UTF-8, a foreign, missing or
    misplaced column, a bad value, and two rows that claim the same key. Missing values are NaN or None.
    """
    path = table_path(results_dir, name)
    if not path.is_file():
        raise InputError(f"{path}: no such file, expected the table {name}")
    lines = csv_rows(path)
    expected = list(SCHEMAS[name].columns)
    _check_columns(lines[0][1] if lines else [], expected, f"{path}, line 1")
    check_widths(path, lines)
    frame = pd.DataFrame([row for _, row in lines[1:]], columns=expected, dtype=object)
    return _checked(frame.replace("", None), name, str(path), [number for number, _ in lines[1:]])


def write_table(results_dir: Path, name: str, frame: pd.DataFrame) -> Path:
    """Check `frame` against the schema of table `name` and write it atomically; equal content gives equal bytes.

    Sorted by the schema's key, columns in its order, numbers plain and with its decimals, missing values empty.
    Raises InputError as `read_table` does; the line is the row's, counted in `frame` as it was given.
    """
    path = table_path(results_dir, name)
    frame = check_table(name, frame, str(path)).sort_values(SCHEMAS[name].unique, key=_natural)
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(frame.columns)
    writer.writerows(printed(frame, name).itertuples(index=False))
    with atomic_write(path) as file:
        file.write(text.getvalue().encode())
    return path


def check_table(name: str, frame: pd.DataFrame, where: str) -> pd.DataFrame:
    """`frame` as the table `name`, its columns in order and in the schema's types.

    Raises InputError, beginning with `where`, as `write_table` does.
    """
    columns = list(SCHEMAS[name].columns)
    _check_columns(sorted(frame.columns), sorted(columns), where)
    frame = frame[columns].astype(object).where(frame.notna(), None)
    return _checked(frame.reset_index(drop=True), name, where, list(range(2, len(frame) + 2)))


def printed(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    """`frame`, in order as the table `name`, with every value as its CSV has it: a text, "" where it is missing."""
    texts = {column: _printed(frame[column], declared) for column, declared in SCHEMAS[name].columns.items()}
    return pd.DataFrame(texts, index=frame.index, dtype=object)


def record_run(results_dir: Path, run: dict) -> Path:
    """Add a row to runs.csv, in the place of those that `giving_way` finds."""
    row = pd.DataFrame([run])
    if table_path(results_dir, "runs").exists():
        runs = read_table(results_dir, "runs")
        row = pd.concat([runs[~giving_way(runs, run)].astype(object), row.astype(object)])
    return write_table(results_dir, "runs", row)


def _checked(frame: pd.DataFrame, name: str, path: str, lines: list[int]) -> pd.DataFrame:
    """`frame` (texts or values, None where missing) in the schema's types; InputError at a line that breaks it."""
    schema = SCHEMAS[name]

    def refuse(row: int, column: str, found: object, expected: str) -> InputError:
        return InputError(f"{path}, line {lines[row]}: {column}: found {found}, expected {expected}")

    for column, kind in ((column, str(declared.dtype)) for column, declared in schema.columns.items()):
        if kind in ("float64", WHOLE):
            numbers = pd.to_numeric(frame[column], errors="coerce").astype(float)
            wrong = frame[column].notna() & ~np.isfinite(numbers)
            if kind == WHOLE:  # from 2^53 on, two of them may be the same float
                wrong |= numbers.notna() & ((numbers % 1 != 0) | (numbers.abs() >= 2**53))
            if wrong.any():
                row = int(wrong.idxmax())
                raise refuse(row, column, frame[column][row], "a number" if kind == "float64" else "a whole number")
            frame = frame.assign(**{column: numbers.astype(kind)})
    repeated = frame.duplicated(schema.unique)
    if repeated.any():
        second = int(repeated.idxmax())
        key = frame.loc[second, schema.unique].map(str)
        first = int((frame[schema.unique].map(str) == key).all(axis=1).idxmax())
        claimant = [f"run {run}" for run in frame["run_id"]] if "run_id" in frame else ["a row"] * len(frame)
        raise refuse(
            second,
            ", ".join(schema.unique),
            f"{', '.join(key)} claimed by {claimant[second]}",
            f"one claim; {claimant[first]} has it on line {lines[first]}",
        )
    try:
        return schema.validate(frame, lazy=True)
    except pandera.errors.SchemaErrors as error:
        case = error.failure_cases.sort_values("index", kind="stable").iloc[0]
        missing = case["check"] == "not_nullable"
        found, expected = ("nothing", "a value") if missing else (case["failure_case"], case["check"])
        raise refuse(int(case["index"]), case["column"], found, expected) from None


def _check_columns(found: list[str], expected: list[str], where: str) -> None:
    foreign = [column for at, column in enumerate(found) if column not in expected or column in found[:at]]
    missing = [column for column in expected if column not in found]
    if foreign or missing:
        raise InputError(f"{where}: found foreign columns {foreign} and missing columns {missing}, expected none")
    if found != expected:
        place = next(i for i, pair in enumerate(zip(found, expected, strict=True)) if pair[0] != pair[1])
        raise InputError(f"{where}: found {found[place]} as column {place + 1}, expected {expected[place]}")


def _natural(column: pd.Series) -> pd.Series:
    """Sort key under which `layer=2` comes before `layer=10`; numbers are their own."""
    if pd.api.types.is_numeric_dtype(column):
        return column
    return column.map(lambda text: re.sub(r"\d+", lambda digits: digits[0].zfill(6), text), na_action="ignore")


def _printed(values: pd.Series, column: object) -> list[str]:
    if not column.metadata:
        return ["" if pd.isna(value) else str(value) for value in values]
    form = f"{{:.{column.metadata['decimals']}f}}"
    # Adding zero to the rounded value turns -0.0 into 0.0.
    return ["" if pd.isna(value) else form.format(round(value, column.metadata["decimals"]) + 0.0) for value in values]
