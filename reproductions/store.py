"""A results folder, `results/<profile>/`: its tables and its traces. Whatever leaves or enters it has been checked."""

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cache
from itertools import zip_longest
from pathlib import Path

import pandas as pd
import pandera.errors
import pandera.pandas as pa

from fastbert_core.errors import InputError
from fastbert_core.files import atomic_write, within
from fastbert_core.metrics import encoder_shape
from fastbert_core.tasks import SAFE_NAME
from fastbert_core.trace import Trace, load_trace
from reproductions.columns import TABLES, key_of
from reproductions.seeds import giving_way

_TRACE_NAME = re.compile(
    r"(?P<model>[a-z0-9]+)-(?P<variant>[a-z0-9-]+)-seed(?P<seed>\d+)-(?P<split>[a-z]+)(-epoch(?P<epoch>\d+))?\.npz"
)
TRACE_NAME_FORM = "<model>-<variant>-seed<k>-<split>[-epoch<e>].npz"
STAGES = TABLES["convergence"]["stage"].choices


def table_path(results_dir: Path, name: str) -> Path:
    """Where the table `name`, one of TABLES, lies."""
    return within(results_dir, f"{name}.csv")


def read_table(results_dir: Path, name: str) -> pd.DataFrame:
    """Read a table. A missing number is NaN, or NA in a column of whole ones; a missing text is "".

    Raises InputError, naming file and line, for a file that is not there or no CSV in UTF-8, another header than
    columns.csv says, a bad value, and two rows that claim the same key.
    """
    path = table_path(results_dir, name)
    if not path.is_file():
        raise InputError(f"{path}: no such file, expected the table {name}")
    rows = csv_rows(path, list(TABLES[name]))
    return _checked(name, [row for _, row in rows], str(path), [line for line, _ in rows])


def write_table(results_dir: Path, name: str, frame: pd.DataFrame) -> Path:
    """Check `frame` as the table `name` and write it atomically; equal content gives equal bytes.

    Rows are sorted by their key, numbers plain and with the column's decimals, what is missing is empty.
    Raises InputError as `read_table` does; the line is the row's, counted in `frame` as it was given.
    """
    path = table_path(results_dir, name)
    frame = check_table(name, frame, str(path))
    if key := key_of(name):
        frame = frame.sort_values(key, key=_natural)
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(frame.columns)
    writer.writerows(printed(frame, name).itertuples(index=False))
    with atomic_write(path) as file:
        file.write(text.getvalue().encode())
    return path


def check_table(name: str, frame: pd.DataFrame, where: str) -> pd.DataFrame:
    """`frame`, its columns in any order and its missing values of any kind, as `read_table` would give it.

    Raises InputError, beginning with `where`, as `write_table` does.
    """
    columns = list(TABLES[name])
    _check_header(sorted(frame, key=lambda column: columns.index(column) if column in columns else -1), columns, where)
    rows = frame[columns].astype(object).to_numpy().tolist()
    return _checked(name, rows, where, range(2, len(rows) + 2))


def printed(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    """Rows of the table `name` with every value as its CSV has it: a text, "" where it is missing."""
    texts = {column: [about.printed(value) for value in frame[column]] for column, about in TABLES[name].items()}
    return pd.DataFrame(texts, index=frame.index, dtype=object)


def csv_rows(path: Path, header: Sequence[str]) -> list[tuple[int, list[str]]]:
    """The rows of a CSV file below `header`, each with the line of the file that it ends on.

    Raises InputError for a file that is no CSV in UTF-8, has another header, or a row of another width.
    """
    try:
        reader = csv.reader(io.StringIO(path.read_bytes().decode("utf-8"), newline=""), strict=True)
        rows = [(reader.line_num, row) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: found {error}, expected a CSV in UTF-8") from None
    _check_header(rows[0][1] if rows else [], header, f"{path}, line 1")
    for line, row in rows:
        if len(row) != len(header):
            raise InputError(f"{path}, line {line}: found {len(row)} fields, expected {len(header)}")
    return rows[1:]


def _check_header(found: Sequence[str], expected: Sequence[str], where: str) -> None:
    for place, (ours, theirs) in enumerate(zip_longest(found, expected, fillvalue="none"), 1):
        if ours != theirs:
            raise InputError(f"{where}: column {place}: found {ours}, expected {theirs}")


@cache
def _schema(name: str) -> pa.DataFrameSchema:
    columns = {
        column: pa.Column(
            checks=pa.Check(about.holds, element_wise=True, error=about.expected),
            nullable=about.optional,
        )
        for column, about in TABLES[name].items()
    }
    return pa.DataFrameSchema(columns, unique=key_of(name) or None, report_duplicates="exclude_first")


def _checked(name: str, rows: list[list], where: str, lines: Sequence[int]) -> pd.DataFrame:
    """The table of `rows`, texts or values in the order of its columns; InputError at the first line that breaks it."""
    columns = TABLES[name]
    cells = {column: [about.parsed(row[at]) for row in rows] for at, (column, about) in enumerate(columns.items())}
    frame = pd.DataFrame(cells, columns=list(columns), dtype=object)
    try:
        _schema(name).validate(frame, lazy=True)
    except pandera.errors.SchemaErrors as error:
        case = error.failure_cases.sort_values("index", kind="stable").iloc[0]
        row = int(case["index"])
        column, found, expected = case["column"], case["failure_case"], case["check"]
        if expected == "not_nullable":
            found, expected = "nothing", columns[column].expected
        elif expected == "multiple_fields_uniqueness":
            column, found, expected = _repeated(frame, key_of(name), row, lines)
        raise InputError(f"{where}, line {lines[row]}: {column}: found {found}, expected {expected}") from None
    empty = {column: "" for column, about in columns.items() if about.type in ("text", "json")}
    kinds = {"number": "float64", "whole": "Int64"}
    return frame.fillna(empty).astype({column: kinds.get(about.type, "str") for column, about in columns.items()})


def _repeated(frame: pd.DataFrame, key: list[str], row: int, lines: Sequence[int]) -> tuple[str, str, str]:
    """Of a row whose key an earlier one has: the columns, what is found, and what is expected."""
    keys = list(frame[key].itertuples(index=False, name=None))
    first = keys.index(keys[row])
    holder = [f"run {run}" for run in frame["run_id"]] if "run_id" in frame else ["a row"] * len(frame)
    found = f"{', '.join(map(str, keys[row]))} claimed by {holder[row]}"
    return ", ".join(key), found, f"one claim; {holder[first]} has it on line {lines[first]}"


def _natural(column: pd.Series) -> pd.Series:
    """Sort key under which `layer=2` comes before `layer=10`, and what is missing last; numbers are their own."""
    if pd.api.types.is_numeric_dtype(column):
        return column
    return column.map(lambda text: re.sub(r"\d+", lambda digits: digits[0].zfill(6), text) or None)


def record_run(results_dir: Path, run: dict) -> Path:
    """Add a row to runs.csv, in the place of those that `giving_way` finds."""
    row = pd.DataFrame([dict.fromkeys(TABLES["runs"]) | run])
    if table_path(results_dir, "runs").exists():
        runs = read_table(results_dir, "runs")
        row = pd.concat([runs[~giving_way(runs, run)].astype(object), row.astype(object)])
    return write_table(results_dir, "runs", row)


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
