"""`fastbert predict --cluster`: a backlog of files through engines on a Ray cluster, by Ray Data.

Each file is cut into stretches, which are read, predicted and written as a stream: by readers, by actors with an engine
each, and by the driver alone. A stretch is what an engine reads at a time, so what is predicted of a file does not
depend on how many engines there are.
"""

import itertools
import json
import logging
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from fastbert_core.cluster import check_nodes, joined, ray_or_error
from fastbert_core.columns import choose_columns, text_of
from fastbert_core.errors import InputError, RunError, reason, refused
from fastbert_core.files import atomic_write, read_object, remove_partial, sha256, write_whole
from fastbert_core.reading import KINDS, is_table, read_file
from fastbert_core.streams import stretches
from fastbert_core.task_types import TASK_TYPES, TaskType

if TYPE_CHECKING:
    from fastbert_core.engine import Prediction

STRETCH = 8192  # the engine's `in_flight`
BLOCK_BYTES = 2**20  # of Ray Data: about a stretch, so that each can go to another engine
JOB = "job.json"
# Of task types where a text does not have the name of one class.
ANSWERS = {
    "multi-label": pa.list_(pa.string()),
    "regression": pa.float64(),
    "sequence-labelling": pa.list_(pa.string()),
}


def predict_backlog(
    model: str,
    texts: str,
    out: Path,
    wanted: dict[str, float],
    read: dict[str, str | None],
    cluster: str,
    *,
    workers: int | None,
    cpus: int,
    device: str,
    precision: str,
    batch_size: int | None,
    probabilities: bool,
) -> str:
    """Predict the texts of all files, write a Parquet file for each to `out`, and tell of it in one line.

    Before that, standard error is told what there is to do.

    texts: a file, a folder of files, a pattern, or an fsspec URL of one of them, which every node can read
    wanted, read: as `predicting.predict` takes them; cluster: as `cluster.joined` takes it
    workers: engines, as many as the cluster has room for if None; cpus: of each, which has a GPU too with `cuda`

    `out/<file>.parquet` has a row for each text, in the order of the file: `key`, the number of its line or row from 1,
    label, exit_layer, uncertainty, truncated, and probabilities if asked for. It is there once the file is done: a job
    that is started again goes on with the files that are not. Raises InputError for what cannot be read, naming file
    and line, for an `out` of another job, and as `cluster.joined` and `cluster.check_nodes` do.
    """
    files, log = _files(texts), partial(print, file=sys.stderr)
    outputs = _outputs(files, out)
    job = _identity(model) | {"wanted": wanted, "read": read, "precision": precision, "probabilities": probabilities}
    read_as = {"read": read, "task_type": _task_type(model)}
    with joined(cluster, log):
        seen = [Path(path) for path in (model, files[0]) if os.path.exists(path)]
        check_nodes(("fastbert_core",), [path.absolute() for path in seen])
        _check_job(out, job)
        left = {name: file for name, file in outputs.items() if not (out / name).exists()}
        if done := len(files) - len(left):
            log(f"{done} of {len(files)} files are done already, skipped")
        if not left:
            return f"nothing left to do; results in {out}"
        engines = _room(workers, cpus, device)
        log(f"{len(left)} files, {engines} engines")
        begun = time.monotonic()
        actor = (str(Path(model).absolute()) if os.path.isdir(model) else model, wanted, device, precision)
        found = _stream(list(left.values()), read_as, (*actor, batch_size, probabilities, cpus), engines, cpus, device)
        exits = _write(found, list(left), out)
    seconds, count = time.monotonic() - begun, sum(exits.values())
    mean = sum(layer * texts for layer, texts in exits.items()) / max(1, count)
    by_layer = ", ".join(f"{layer}: {texts}" for layer, texts in sorted(exits.items()))
    rate = f"{count / max(seconds, 1e-9):.0f} a second"
    return f"{count} texts in {seconds:.1f} s ({rate}), {mean:.2f} layers on average; texts by exit layer: {by_layer}"


def _files(texts: str) -> list[str]:
    """The files that `texts` names, sorted. Raises InputError if there are none, or of no kind that can be read."""
    import fsspec

    with refused(f"{texts}: cannot be listed (", "), expected files or an fsspec URL"):
        filesystem, _, paths = fsspec.get_fs_token_paths(texts)
        if len(paths) == 1 and filesystem.isdir(paths[0]):
            inside = sorted(filesystem.ls(paths[0], detail=False))
            paths = [path for path in inside if is_table(path) and not Path(path).name.startswith(".")]
        missing = [path for path in paths if not filesystem.isfile(path)]
    if not paths or missing:
        raise InputError(f"{texts}: found no such file, expected a file, a folder, a pattern or an fsspec URL")
    if unknown := [path for path in paths if not is_table(path)]:
        raise InputError(f"{unknown[0]}: found a name of no known kind, expected one that ends in {', '.join(KINDS)}")
    return [filesystem.unstrip_protocol(path) if "://" in texts else path for path in sorted(paths)]


def _outputs(files: list[str], out: Path) -> dict[str, str]:
    """The files by the name of their results. Raises InputError for two of one name."""
    named: dict[str, str] = {}
    for file in files:
        name = f"{file.rpartition('/')[2].removesuffix('.parquet')}.parquet"
        if name in named:
            raise InputError(f"{out}: found {named[name]} and {file}, expected files of different names")
        named[name] = file
    return named


def _identity(model: str) -> dict[str, str | None]:
    """What decides the answers: the hash of a folder's weights and of its operating points, or a hub id."""
    from fastbert_core.operating_points import FILE, weights_sha256

    if not os.path.isdir(model):
        return {"model": model}
    points = Path(model, FILE)
    return {"model": weights_sha256(Path(model)), "points": sha256(points) if points.is_file() else None}


def _task_type(model: str) -> str:
    """By the model's configuration. Raises InputError if it has none that can be read."""
    from fastbert_core.model import FastBertConfig

    with refused(f"{model}: cannot be loaded as a FastBERT: "):
        return FastBertConfig.from_pretrained(model).task_type


def _check_job(out: Path, job: dict) -> None:
    """Note in `out` what its results are of. Raises InputError if they are of something else."""
    path = out / JOB
    if path.is_file():
        held = read_object(path, "what its results are of; --out names a new folder")
        if other := [name for name in job if held.get(name) != job[name]]:
            found = f"{path}: found another {other[0]}, {held.get(other[0])!r}, expected {job[other[0]]!r}"
            raise InputError(f"{found}; --out names a new folder")
    elif out.exists() and any(out.iterdir()):
        raise InputError(f"{out}: found files of no backlog, expected a new folder")
    out.mkdir(parents=True, exist_ok=True)
    remove_partial(out)
    write_whole(path, json.dumps(job, indent=1) + "\n")


def _room(workers: int | None, cpus: int, device: str) -> int:
    """How many engines there will be. Raises InputError if the cluster has no room for one, or for so many."""
    total = ray_or_error().cluster_resources()
    room = int(total.get("CPU", 0) // cpus)
    if device == "cuda":
        room = min(room, int(total.get("GPU", 0)))
    if room < (workers or 1):
        each = f"{cpus} CPUs{' and a GPU' if device == 'cuda' else ''}"
        raise InputError(f"--workers: found room for {room} engines of {each}, expected it for {workers or 1}")
    return workers or room


def _stream(
    files: list[str], read_as: dict, engine: tuple, engines: int, cpus: int, device: str
) -> Iterator[dict[str, Any]]:
    """What is predicted of each stretch, in the order of files and stretches."""
    ray = ray_or_error()
    from ray import data

    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = data.DataContext.get_current()
    context.enable_progress_bars = False
    context.execution_options.preserve_order = True
    context.target_max_block_size = BLOCK_BYTES
    items = [{"file": number, "path": path} for number, path in enumerate(files)]
    # Readers have no CPU of their own, and nothing else runs: every CPU may be an engine's.
    readers = {"num_cpus": 0, "concurrency": min(len(files), engines)}
    actors = {"num_cpus": cpus, "concurrency": engines} | ({"num_gpus": 1} if device == "cuda" else {})
    stages = (
        data.from_items(items, override_num_blocks=len(items))
        .map_batches(_read, batch_size=1, fn_kwargs=read_as, **readers)
        .map_batches(_Predictor, batch_size=1, fn_constructor_args=engine, **actors)
    )
    try:
        for row in stages.iter_rows():
            if row["wrong"]:
                raise (InputError if row["bad_input"] else RunError)(row["wrong"])
            yield row
    except ray.exceptions.RayTaskError:  # a fault of ours, whose traceback is wanted
        raise
    except ray.exceptions.RayError as error:
        raise RunError(f"cluster: {reason(error)}; the same command goes on with the files that are not done") from None


def _read(batch: dict[str, np.ndarray], read: dict, task_type: str) -> Iterator[dict[str, list]]:
    """The stretches of a file, one a row; of an empty one, an empty stretch."""
    number, path = int(batch["file"][0]), str(batch["path"][0])
    row = {"file": [number], "wrong": [""], "bad_input": [False]}
    try:
        records = read_file(path, read["encoding"])
        kind = TASK_TYPES[task_type]
        columns = choose_columns(records, read["text"], read["pair"], labelled=False, kind=kind)
        wanted = [column for column in (columns.text, columns.pair) if column is not None]
        rows = (
            (n, *(text_of(found, column, records.at(n), kind.of_words) for column in wanted))
            for n, found in records.rows
        )
        for stretch in itertools.chain(stretches(rows, STRETCH), [[]]):
            keys, *texts = zip(*stretch, strict=True) if stretch else ([], *([] for _ in wanted))
            yield row | {"keys": [json.dumps(keys)], "texts": [json.dumps(texts)]}
    except (InputError, OSError) as error:
        yield row | {"keys": [""], "texts": [""], "wrong": [str(error)], "bad_input": [True]}


class _Predictor:
    """An engine in a process of its own."""

    def __init__(
        self,
        model: str,
        wanted: dict[str, float],
        device: str,
        precision: str,
        batch_size: int | None,
        probabilities: bool,
        threads: int,
    ) -> None:
        import torch

        from fastbert_core.engine import Engine

        torch.set_num_threads(threads)
        self._engine = Engine.from_pretrained(model, device=device, precision=precision, in_flight=STRETCH)
        self._wanted, self._batch_size, self._probabilities = wanted, batch_size, probabilities

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, list]:
        """What is predicted of one stretch, as a table in Arrow's own form."""
        row = {name: [batch[name][0]] for name in ("file", "wrong", "bad_input")} | {"table": [b""]}
        if row["wrong"][0]:
            return row
        keys, texts = json.loads(batch["keys"][0]), json.loads(batch["texts"][0])
        try:
            pairs = texts[1] if len(texts) > 1 else None
            found = self._engine.predict(texts[0], pairs=pairs, batch_size=self._batch_size, **self._wanted)
        except (InputError, RunError) as error:
            return row | {"wrong": [str(error)], "bad_input": [isinstance(error, InputError)]}
        return row | {"table": [_packed(table_of(keys, found, self._engine.model.kind, self._probabilities))]}


def table_of(keys: list[int], found: "Iterable[Prediction]", kind: TaskType, probabilities: bool) -> pa.Table:
    """The results of a stretch; every stretch of a model, also an empty one, has columns of the same types."""
    columns = {
        "key": pa.array(keys, pa.int64()),
        "label": pa.array([one.label for one in found], ANSWERS.get(kind.name, pa.string())),
        "exit_layer": pa.array([one.exit_layer for one in found], pa.int16()),
        "uncertainty": pa.array([one.uncertainty for one in found], pa.float64()),
        "truncated": pa.array([one.truncated for one in found], pa.bool_()),
    }
    if probabilities:
        of_choice = pa.list_(pa.float32())
        of_text = pa.list_(of_choice) if kind.of_words else of_choice
        columns["probabilities"] = pa.array([one.probabilities for one in found], of_text)
    return pa.table(columns)


def _packed(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def _write(found: Iterable[dict[str, Any]], names: list[str], out: Path) -> Counter:
    """Write each file's results, whole or not at all; how many texts left at which layer."""
    exits: Counter = Counter()
    for number, rows in itertools.groupby(found, key=lambda row: row["file"]):
        path = out / names[number]
        tables = (pa.ipc.open_stream(row["table"]).read_all() for row in rows)
        with atomic_write(path) as file:
            first = next(tables)
            with parquet.ParquetWriter(file, first.schema) as writer:
                for table in itertools.chain([first], tables):
                    if len(table):
                        writer.write_table(table)
                    exits.update(table["exit_layer"].to_pylist())
    return exits
