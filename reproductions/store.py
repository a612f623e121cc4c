"""The runs of a results folder: each is one folder below `traces/`, put in its place by one rename.

`traces/<task>/<backbone>-<training>-seed<k>/` holds run.json, the run's row of runs.csv and the SHA-256 of each of its
traces, and the traces: test.npz, dev.npz, and epoch-<e>.npz of dev rows at the end of each epoch of training.
"""

import dataclasses
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd

from fastbert_core.errors import InputError
from fastbert_core.files import PARTIAL, naming, read_object, within
from fastbert_core.trace import Trace, coarser, parse_trace, trace_bytes
from reproductions.columns import TABLES
from reproductions.names import SELF_DISTILLATION
from reproductions.seeds import KEY
from reproductions.settings import shallow_layers
from reproductions.tables import check_table

RECORD = "run.json"
STAGES = TABLES["convergence"]["stage"].choices
JSON = [name for name, column in TABLES["runs"].items() if column.type == "json"]
EPOCHS_SEED = 7  # the seed whose epochs are published
OTHERS_KEPT_TO = 1e-3  # probabilities and uncertainties of trainings other than FastBERT's, as published
_NAME = re.compile(r"\w[\w.-]*")


@dataclasses.dataclass(frozen=True)
class StoredRun:
    """A run in its folder: `row`, its row of runs.csv by column, and `sums`, the SHA-256 of its traces by file name."""

    folder: Path
    row: dict
    sums: dict[str, str]

    def traces(self, **wanted: object) -> Iterator[Trace]:
        """Its traces, by name, whose metadata equal `wanted` (split="test", epoch=None, …).

        The metadata say of which run they are. Raises InputError, naming the file, for one that is missing, is not as
        it was published, or lacks layers or samples.
        """
        for name in sorted(self.sums):
            kind, epoch = re.fullmatch(r"([a-z]+)(?:-(\d+))?\.npz", name).groups()
            named = {"split": "dev" if epoch else kind, "epoch": int(epoch) if epoch else None}
            if all(named[field] == want for field, want in wanted.items()):
                yield self._trace(self.folder / name, named)

    def _trace(self, path: Path, named: dict) -> Trace:
        if not path.is_file():
            raise InputError(f"{path}: no such trace, which {RECORD} lists")
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != self.sums[path.name]:
            raise InputError(f"{path}: found content that does not match its sha256 in {RECORD}")
        trace = parse_trace(content, path)
        key = {name: self.row[name] for name in ("run_id", *KEY)}
        trace.metadata.update(key | {name: value for name, value in named.items() if value is not None})
        _check(trace, path, self.row["test_rows"])
        return trace


def _check(trace: Trace, path: Path, test_rows: int) -> None:
    """Raise InputError, naming `path`, for an epoch of no stage, and where layers or test samples are missing.

    A deep model's trace holds every layer of its encoder; a shallow one's, or a teacher's in fine-tuning, the last.
    """
    stage, depth = trace.metadata.get("stage"), trace.shape.layers
    if "epoch" in trace.metadata and stage not in STAGES:
        raise InputError(f"{path}: found stage {stage!r}, expected one of {', '.join(STAGES)}")
    last_alone = stage == STAGES[0] or shallow_layers(trace.metadata["training"])
    expected = [depth] if last_alone else list(range(1, depth + 1))
    if trace.metadata["layers"] != expected:
        raise InputError(f"{path}: found layers {trace.metadata['layers']}, expected {expected}")
    if trace.metadata["split"] == "test" and len(trace) != test_rows:
        raise InputError(f"{path}: found {len(trace)} samples, expected the {test_rows} test_rows of {RECORD}")


def run_folder(results_dir: Path, key: Mapping) -> Path:
    """Where the run of a key (its KEY columns) lies. Raises InputError if that is no place in `results_dir`."""
    backbone = str(key["backbone"]).replace("/", "--")
    name = f"{backbone}-{key['training']}-seed{key['seed']}"
    for part in (str(key["task"]), name):
        if not _NAME.fullmatch(part):
            raise InputError(f"run {part!r}: found no safe name, expected <task>/<backbone>-<training>-seed<k>")
    return within(results_dir, "traces", key["task"], name)


def find_runs(results_dir: Path) -> list[StoredRun]:
    """The runs of a results folder, sorted by folder, each row checked.

    Raises InputError, naming the run.json, for one that is none or whose key another folder's run has, and for a folder
    that a symbolic link leads out of `results_dir`.
    """
    top = Path(results_dir)
    paths = [within(top, path.relative_to(top)) for path in sorted(top.glob(f"traces/[!.]*/[!.]*/{RECORD}"))]
    records = [_record(path) for path in paths]
    sums = [record.pop("traces") for record in records]
    frame = pd.DataFrame(records, columns=list(TABLES["runs"]), dtype=object)
    rows = check_table("runs", frame, str(top), [str(path) for path in paths]).to_dict("records")
    for path, row in zip(paths, rows, strict=True):
        if path.parent != (expected := run_folder(top, row)):
            raise InputError(f"{path}: found the run of {expected.name} of {row['task']}, expected it in that folder")
    return [StoredRun(path.parent, *found) for path, *found in zip(paths, rows, sums, strict=True)]


def _record(path: Path) -> dict:
    """What a run.json holds, its JSON columns as text."""
    record = read_object(path, "a run's record")
    if wrong := {*TABLES["runs"], "traces"}.symmetric_difference(record):
        raise InputError(f"{path}: found {', '.join(sorted(wrong))} missing or unknown, expected a run's record")
    sums = record["traces"]
    if not isinstance(sums, dict) or not all(re.fullmatch(r"test\.npz|dev\.npz|epoch-\d+\.npz", name) for name in sums):
        raise InputError(f"{path}: found traces {sums!r}, expected the SHA-256 of test.npz, dev.npz, epoch-<e>.npz")
    return record | {name: json.dumps(record[name], sort_keys=True) for name in JSON}


def runs_table(runs: Sequence[StoredRun]) -> pd.DataFrame:
    """The table "runs" of some runs."""
    return pd.DataFrame([run.row for run in runs], columns=list(TABLES["runs"]))


def published(traces: Sequence[Trace], row: dict) -> list[Trace]:
    """What is committed of a run's traces, since files together have little room; `row` is its row of runs.csv.

    The logits' scale, a third of a trace and read by the rule `energy` alone, and the epochs of one seed, which figure
    7 draws, are FastBERT's own. Other trainings, of which accuracies at equal cost are told, are kept coarser.
    """
    if row["training"] != SELF_DISTILLATION:
        return [dataclasses.replace(coarser(trace, OTHERS_KEPT_TO), logsumexp=None) for trace in traces]
    return [trace for trace in traces if trace.metadata.get("epoch") is None or row["seed"] == EPOCHS_SEED]


def put_run(results_dir: Path, row: dict, traces: Sequence[Trace], instead: Sequence[Path] = ()) -> None:
    """Put a run into its folder, in the place of what was there; the folders `instead` go at the same moment.

    row: its row of runs.csv; the metadata of a trace say which it is. A kill leaves the old run, none, or the new one.
    """
    folder = run_folder(results_dir, row)
    record = dict.fromkeys(TABLES["runs"]) | row
    record |= {name: json.loads(record[name]) for name in JSON}
    files = {}
    for trace in traces:
        epoch = trace.metadata.get("epoch")
        name = f"{trace.metadata['split']}.npz" if epoch is None else f"epoch-{epoch}.npz"
        files[name] = trace_bytes(trace, folder / name)
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in sorted(files.items())}
    files[RECORD] = (json.dumps(record | {"traces": sums}, indent=1, ensure_ascii=False) + "\n").encode()
    with naming(folder), tempfile.TemporaryDirectory(dir=results_dir, prefix=".", suffix=PARTIAL) as temporary:
        (made := Path(temporary, "run")).mkdir()
        for name, content in files.items():
            with open(made / name, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        folder.parent.mkdir(parents=True, exist_ok=True)
        for number, old in enumerate(path for path in {folder, *instead} if path.is_dir()):
            old.rename(Path(temporary, f"old-{number}"))
        made.rename(folder)
