"""Putting a finished run into a results folder, in the place of what cannot stand beside it."""

from pathlib import Path

from fastbert_core.files import atomic_write
from fastbert_core.trace import Trace, trace_bytes
from reproductions import store
from reproductions.job import Job
from reproductions.seeds import giving_way
from reproductions.sums import record_sums


def publish(job: Job, traces: list[Trace], record: dict, results_dir: Path) -> list[int]:
    """Put the run in the place of whatever held its key; returns other seeds that went too, as `giving_way` says.

    In this order, the test trace gone first and come last, a kill leaves at no point a trace that no row vouches for,
    nor a run that `is_done` takes for whole although a trace of it or the hash of one is missing.
    """
    s, data = job.settings, job.data
    row = {
        "run_id": job.run_id,
        "task": s.task,
        "model": s.model,
        "variant": s.variant,
        "seed": s.seed,
        "profile": s.profile,
        "backbone": job.backbone.name,
        "data_source": data.source,
        "dev_rows": len(job.selection),
        "test_rows": len(data.test),
        **job.learnt_from,
    }
    seeds = {s.seed}
    if store.table_path(results_dir, "runs").is_file():
        runs = store.read_table(results_dir, "runs")
        seeds |= set(runs.loc[giving_way(runs, row), "seed"])
    held = store.find_traces(results_dir, task=s.task, model=s.model, variant=s.variant)
    held = [path for path in held if store.trace_key(path).seed in seeds]
    for path in sorted(held, key=lambda path: store.trace_key(path).split != "test"):
        path.unlink()
    store.record_run(results_dir, row | record)
    placed = {}
    for trace in sorted(traces, key=lambda trace: trace.metadata["split"] == "test"):
        m = trace.metadata
        path = store.trace_path(results_dir, s.task, s.model, s.variant, s.seed, m["split"], m.get("epoch"))
        placed[path] = trace_bytes(trace, path)
    record_sums(results_dir, placed, store.read_table(results_dir, "runs"))
    for path, content in placed.items():
        with atomic_write(path) as file:
            file.write(content)
    return sorted(seeds - {s.seed})
