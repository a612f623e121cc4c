"""`run`: train, trace and measure a task, resuming what was begun and skipping what is done."""

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from fastbert_core.backbones import Backbone
from fastbert_core.data import Split, TaskData, take_rows
from fastbert_core.encoding import encode, load_tokenizer
from fastbert_core.errors import InputError
from fastbert_core.flops import EncoderShape
from fastbert_core.model import FastBertModel
from fastbert_core.trace import Trace, load_trace, save_trace
from fastbert_core.tracing import probabilities
from fastbert_core.training import Samples, Workplace, fine_tune, self_distil
from reproductions import results
from reproductions.provenance import RunRecord, machine
from reproductions.settings import Settings
from reproductions.sources import runs_folder

KL = {"default": "teacher-student", "reverse-kl": "student-teacher"}


@dataclass(frozen=True)
class Job:
    """One run that is to be made: what it learns, from what, and where it stands."""

    settings: Settings
    data: TaskData
    backbone: Backbone
    device: torch.device

    @property
    def run_id(self) -> str:
        """Identity of the run, as runs.csv lists it."""
        return self.settings.run_id(self.data.sha256, self.backbone.sha256)

    @property
    def folder(self) -> Path:
        """Where its checkpoints and its model live."""
        return runs_folder() / self.run_id

    @property
    def fine_tuning_folder(self) -> Path:
        """Where the first stage lives, which several runs may have in common."""
        return runs_folder() / f"fine-tuning-{self.settings.fine_tuning_id(self.data.sha256, self.backbone.sha256)}"


def is_done(job: Job, results_dir: Path, replace: bool) -> bool:
    """Whether the run stands in `results_dir` already.

    Raises InputError if its key is held by another run and `replace` does not say that it may go.
    """
    if not results.table_path(results_dir, "runs").is_file():
        return False
    runs, s = results.read_table(results_dir, "runs"), job.settings
    held = runs[(runs.task == s.task) & (runs.model == s.model) & (runs.variant == s.variant) & (runs.seed == s.seed)]
    if held.empty:
        return False
    holder = held.iloc[0].run_id
    if holder == job.run_id:
        return results.trace_path(results_dir, s.task, s.model, s.variant, s.seed, "test").is_file()
    if not replace:
        key = f"{s.task}, {s.model}-{s.variant}, seed {s.seed}"
        table = results.table_path(results_dir, "runs")
        raise InputError(f"{table}: {key} is held by run {holder}, this would be {job.run_id}; --replace lets it go")
    return False


def execute(job: Job, results_dir: Path, log: Callable[[str], None]) -> None:
    """Train and trace one run, then put its traces and its row of runs.csv into `results_dir`."""
    record = RunRecord(job.folder)
    stations = _Stations(job, record, log)
    model = stations.train()
    traces = [stations.traced(model, "test", job.data.test), stations.traced(model, "dev", stations.dev_sample)]
    traces += stations.epoch_traces()
    model.save_pretrained(job.folder / "model")
    stations.tokenizer.save_pretrained(job.folder / "model")
    record.save()
    _publish(job, traces, record, results_dir)


class _Stations:
    """What the stations of one run share: tokenizer, samples and folders."""

    def __init__(self, job: Job, record: RunRecord, log: Callable[[str], None]):
        self.job, self.record, self.log = job, record, log
        self.tokenizer = load_tokenizer(job.backbone.source)
        s, data = job.settings, job.data
        train = data.train if s.train_rows == "all" else take_rows(data.train, s.train_rows, s.seed)
        self.train_samples = self.samples(train)
        self.dev_samples = self.samples(take_rows(data.dev, min(s.dev_rows, len(data.dev)), s.seed))
        self.dev_sample = take_rows(data.dev, min(s.epoch_trace_rows, len(data.dev)), s.seed)

    def samples(self, split: Split) -> Samples:
        return Samples(encode(self.tokenizer, split.texts, split.pairs, self.job.settings.max_tokens), split.labels)

    def train(self) -> FastBertModel:
        """Both stages, or the first alone where the variant is trained on labels."""
        job, s = self.job, self.job.settings
        torch.manual_seed(s.seed)  # for the weights of the fresh classifiers
        model = FastBertModel.from_backbone(job.backbone.source, job.data.task.classes).to(job.device)
        on_labels = s.variant == "labels"
        place = self.workplace(job.fine_tuning_folder, model)
        fine_tune(model, self.train_samples, self.dev_samples, s.fine_tuning, place, students=on_labels)
        if not on_labels:
            place = self.workplace(job.folder, model)
            self_distil(model, self.train_samples.encoded, s.distillation, place, KL[s.variant])
        return model

    def workplace(self, folder: Path, model: FastBertModel) -> Workplace:
        dev = self.samples(self.dev_sample)

        def after_epoch(stage: str, epoch: int) -> None:
            self.record.save()
            # Before self-distillation nothing has changed since fine-tuning but the choice of the best epoch.
            if self.job.settings.variant == "default" and (epoch or stage == "fine-tuning"):
                path = folder / "epochs" / f"{stage}-{epoch}.npz"
                classified = (model.layers,) if stage == "fine-tuning" else None
                save_trace(self.trace(model, "dev", dev, classified, stage=stage, epoch=epoch), path)

        return Workplace(folder, self.tokenizer.pad_token_id, self.job.settings.precision, self.log, after_epoch)

    def trace(
        self, model: FastBertModel, split: str, samples: Samples, classified: tuple[int, ...] | None = None, **more: object
    ) -> Trace:
        """One pass over `samples` in fp32."""
        s = self.job.settings
        label = None if "epoch" in more else f"trace of {split}"
        p = probabilities(model, samples.encoded, self.tokenizer.pad_token_id, classified, "fp32", progress=label)
        metadata = {
            "run_id": self.job.run_id,
            "task": s.task,
            "model": s.model,
            "variant": s.variant,
            "seed": s.seed,
            "split": split,
            "classes": list(self.job.data.task.classes),
            "layers": list(classified or range(1, model.layers + 1)),
            "encoder": dataclasses.asdict(EncoderShape.from_config(model.backbone.config)),
            "precision": "fp32",
        }
        return Trace(p, samples.labels.astype(np.int64), samples.encoded.lengths, metadata | more)

    def traced(self, model: FastBertModel, split: str, rows: Split) -> Trace:
        """The trace of a split, kept in the run's folder once it is made."""
        path = self.job.folder / f"{split}.npz"
        if not path.is_file():
            save_trace(self.trace(model, split, self.samples(rows)), path)
        return load_trace(path)

    def epoch_traces(self) -> list[Trace]:
        """The traces that training kept, epochs counted through both stages; epoch 0 is before training."""
        traces = []
        stages = (("fine-tuning", self.job.fine_tuning_folder, 0), ("self-distillation", self.job.folder, 1))
        for stage, folder, first in stages:
            epoch = first
            while (path := folder / "epochs" / f"{stage}-{epoch}.npz").is_file():
                trace = load_trace(path)
                named = {"run_id": self.job.run_id, "variant": self.job.settings.variant, "epoch": len(traces)}
                traces.append(dataclasses.replace(trace, metadata=trace.metadata | named))
                epoch += 1
        return traces


def _publish(job: Job, traces: list[Trace], record: RunRecord, results_dir: Path) -> None:
    """Put the run in the place of whatever held its key.

    In this order, and the test trace last, a kill leaves at no point a trace that no row vouches for, nor a run that
    `is_done` takes for whole.
    """
    s, data = job.settings, job.data
    for path in results.find_traces(results_dir, task=s.task, model=s.model, variant=s.variant, seed=s.seed):
        path.unlink()
    row = {
        "run_id": job.run_id,
        "task": s.task,
        "model": s.model,
        "variant": s.variant,
        "seed": s.seed,
        "profile": s.profile,
        "backbone": job.backbone.name,
        "backbone_sha256": job.backbone.sha256,
        "data_source": data.source,
        "data_sha256": data.sha256,
        "train_rows": len(data.train) if s.train_rows == "all" else s.train_rows,
        "dev_rows": min(s.dev_rows, len(data.dev)),
        "test_rows": len(data.test),
        "hyperparameters": json.dumps(s.hyperparameters, sort_keys=True),
        "precision": s.precision,
    }
    results.record_run(results_dir, row | record.columns | machine(job.device))
    for trace in sorted(traces, key=lambda trace: trace.metadata["split"] == "test"):
        m = trace.metadata
        path = results.trace_path(results_dir, s.task, s.model, s.variant, s.seed, m["split"], m.get("epoch"))
        save_trace(trace, path)
