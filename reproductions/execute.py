"""One run: its stages of training, then its traces, each of which picks up what an earlier attempt left."""

import contextlib
import dataclasses
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from fastbert_core.baseline import baseline
from fastbert_core.checkpoint import load_checkpoint, save_checkpoint
from fastbert_core.data import Split
from fastbert_core.encoder_folder import load_tokenizer
from fastbert_core.errors import InputError
from fastbert_core.files import atomic_files, write_whole
from fastbert_core.flops import EncoderShape
from fastbert_core.model import FastBertModel
from fastbert_core.processes import ALONE, Alone
from fastbert_core.task_types import SINGLE, TASK_TYPES
from fastbert_core.trace import Trace, load_trace, save_trace
from fastbert_core.tracing import scaled_probabilities
from fastbert_core.train import Samples, Workplace, check_shareable, train
from fastbert_core.trainings import Stage
from reproductions.lock import locked
from reproductions.model_card import run_card
from reproductions.names import SELF_DISTILLATION
from reproductions.plan import Log, Run
from reproductions.provenance import RunRecord


def execute(run: Run, log: Log, processes: Alone = ALONE) -> tuple[dict, list[Trace]]:
    """Train and trace a run: its row of runs.csv, and its traces, that of the test set first.

    While another process works in the folder of the run, or of its first stage, waits: other results folders and
    other runs have them in common. Of several processes that train together the main one alone locks and writes.
    """
    with _at_work(run, log, processes) as work:
        model = work.train()
        traces = work.traces(model)
        if processes.main:
            with atomic_files(run.folder / "model") as folder:
                model.save_pretrained(folder)
                work.tokenizer.save_pretrained(folder)
                (folder / "README.md").write_text(run_card(run, traces[0]), encoding="utf-8")
        return work.row() if processes.main else {}, traces


def calibrated(run: Run, log: Log) -> tuple[dict, Trace]:
    """Train a run and trace its calibration rows alone: who made it and when, as in runs.csv, and the trace."""
    with _at_work(run, log, ALONE) as work:
        model = work.train()
        trace = work.traced(model, "dev", run.calibration, range(1, model.layers + 1))
        return work.made(), trace


@contextlib.contextmanager
def _at_work(run: Run, log: Log, processes: Alone) -> Iterator["_Work"]:
    folders = (run.folder, run.first_folder) if processes.main else ()
    with contextlib.ExitStack() as locks:
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
            locks.enter_context(locked(folder, log))
        processes.check_shared(run.folder)
        yield _Work(run, log, processes)


class _Work:
    """What training and tracing of one run share: tokenizer, samples, folders and records."""

    def __init__(self, run: Run, log: Log, processes: Alone) -> None:
        self.run, self.log, self.processes = run, log, processes
        self._kind = TASK_TYPES[run.data.task.type]
        for stage in run.settings.later:
            check_shareable(stage, self._kind, processes)
        with processes.main_first():
            folders = run.folder, run.first_folder
            self.record, self.first_record = (RunRecord(folder, run.device, processes.count) for folder in folders)
        self.tokenizer = load_tokenizer(run.backbone.source)
        s = run.settings
        self._train_samples = self._samples(run.train)
        self._selection = self._samples(run.selection)
        self._few = self._samples(run.selection.take(np.arange(min(s.epoch_trace_rows, len(run.selection)))))
        self.notes: dict[str, dict] = {}  # of each stage, by its name

    def train(self) -> FastBertModel:
        """The trained model: every stage of the run's training, the first of which several runs may share."""
        run, s = self.run, self.run.settings
        torch.manual_seed(s.seed)  # for the weights of the fresh classifiers
        task, samples = run.data.task, self._train_samples
        of = {"classifier_init": s.classifier_init, "labels": samples.labels}
        of |= {"task_type": task.type, "scores": task.scores}
        model = FastBertModel.from_backbone(run.backbone.source, task.classes, task.pair, **of)
        model.config.max_tokens = s.max_tokens  # what the engine will cut texts to
        model = model.to(run.device)
        self._stage(model, s.first, samples, self.first_record)
        self.record.skip()
        deep = None
        if s.layers:
            samples = dataclasses.replace(samples, soft=self._soft_labels(model))
            self.record.skip()
            deep, model = model, model.first_of_blocks(s.layers)
        for stage in s.later:
            self._stage(model, stage, samples, self.record, deep if stage.matches else None)
        return model

    def _stage(
        self, model: FastBertModel, stage: Stage, samples: Samples, record: RunRecord, deep: FastBertModel | None = None
    ) -> None:
        """One stage; of FastBERT's training, keep a trace of some held-out rows at the end of each epoch.

        record: of the folder that the stage lives in
        deep: the teacher of a shallow model, where the stage matches its states
        """
        s, folder, dev = self.run.settings, record.path.parent, self._few if stage.frozen else self._selection

        def after_epoch(stage: Stage, epoch: int, p: np.ndarray) -> None:
            # Before self-distillation nothing has changed since fine-tuning but the choice of the best epoch.
            if stage.name == "fine-tuning" or (stage.name == "self-distillation" and self._is_default and epoch):
                few, exits = self._few, (model.layers,) if stage.exits == "last" else range(1, model.layers + 1)
                few_p = p[: few.encoded.unit_count]
                trace = self._trace(few_p, few, "dev", exits, s.precision, stage=stage.name, epoch=epoch)
                save_trace(trace, folder / "epochs" / f"{stage.name}-{epoch}.npz")

        pad_id, save = self.tokenizer.pad_token_id, record.save
        place = Workplace(folder, pad_id, s.precision, self.log, s.seed, after_epoch, save, processes=self.processes)
        self._config = model.config
        self.notes[stage.name] = train(model, stage, samples, dev, place, deep)

    def _soft_labels(self, teacher: FastBertModel) -> np.ndarray:
        """The teacher's class probabilities of the training rows, made once for all its DistilBERTs."""
        path = self.run.first_folder / "soft-labels.safetensors"
        if not self.processes.told(path.is_file()):
            self.first_record.skip()
            soft, _ = self._said(
                teacher, self._train_samples, (teacher.layers,), self.run.settings.precision, "soft labels"
            )
            if self.processes.main:
                self.first_record.save()
                save_checkpoint(path, {"soft_labels": torch.from_numpy(soft[:, 0])}, {})
        self.processes.wait()
        return load_checkpoint(path)[0]["soft_labels"].numpy()

    def row(self) -> dict:
        """The run's row of runs.csv."""
        run, s = self.run, self.run.settings
        first = self.notes[s.first.name]
        # Before the record is read, which names who made it.
        baseline_accuracy = self._baseline()["accuracy"] if self._kind.of_texts else None
        students = next((self.notes[stage.name] for stage in s.later if stage.frozen), {})
        return {
            "run_id": run.run_id,
            **run.key,
            "profile": s.profile,
            "data_source": run.data.source,
            "dev_rows": len(run.selection),
            "test_rows": len(run.data.test),
            **run.learnt_from,
            "overlap_rows": len(run.data.train) - len(run.data.learnable),
            **self.made(),
            "baseline_accuracy": baseline_accuracy,
            "best_epoch": first.get("best_epoch"),
            "distillation_epochs": students.get("epochs"),
            "held_out_loss": students["held_out_loss"][-1] if students else None,
        }

    def made(self) -> dict:
        """By which code, on which devices and when it was made, as columns of runs.csv."""
        return self.record.columns(self.first_record, self.run.settings.precision, list(self.notes))

    def _baseline(self) -> dict:
        """What logistic regression on the frozen encoder comes to, made once for all runs of the first stage."""
        path = self.run.first_folder / "baseline.json"
        if not path.is_file():
            self.first_record.skip()
            fresh = FastBertModel.from_backbone(self.run.backbone.source, self.run.data.task.classes)
            test, pad_id = self._samples(self.run.data.test), self.tokenizer.pad_token_id
            sides = self._train_samples, self._selection, test
            found = baseline(fresh.to(self.run.device), *sides, pad_id, self.run.settings.precision, self._kind)
            self.log(f"baseline: logistic regression on the frozen encoder, {found:.2f} on the test set")
            self.first_record.save()
            write_whole(path, json.dumps({"accuracy": found}))
        return json.loads(path.read_text("utf-8"))

    def traces(self, model: FastBertModel) -> list[Trace]:
        """The trace of the test set; of a model with exits that of the calibration rows too, and FastBERT's epochs."""
        if self.run.settings.layers:
            return [self.traced(model, "test", self.run.data.test, (model.layers,))]
        exits, splits = range(1, model.layers + 1), {"test": self.run.data.test, "dev": self.run.calibration}
        traces = [self.traced(model, split, rows, exits) for split, rows in splits.items()]
        # Figure 7 is the paper's: of words and of many classes a trace of each epoch takes more room than it tells.
        with_epochs = self._is_default and not self.run.data.task.group
        return traces + (self._epoch_traces() if with_epochs else [])

    @property
    def _is_default(self) -> bool:
        return self.run.settings.training == SELF_DISTILLATION

    def _samples(self, split: Split) -> Samples:
        return Samples.of(self._kind, self.tokenizer, split, self.run.settings.max_tokens)

    def _trace(
        self, p: np.ndarray, samples: Samples, split: str, layers: Sequence[int], precision: str, **more: object
    ) -> Trace:
        """What the exits on `layers` say of `samples`: `p`, float32 [samples, layers, classes]."""
        metadata = {
            "split": split,
            "classes": list(self.run.data.task.classes),
            "layers": list(layers),
            "encoder": EncoderShape.from_config(self._config).described,
            "precision": precision,
        }
        task, encoded = self.run.data.task, samples.encoded
        if self._kind is not SINGLE or task.metrics:
            metadata |= {"task_type": task.type, "metrics": list(task.metrics or self._kind.metrics[:1])}
        labels = samples.labels.astype(self._kind.label_dtype)
        return Trace(p, labels, encoded.lengths, metadata | more, words=encoded.word_counts)

    def _said(
        self, model: FastBertModel, samples: Samples, layers: tuple[int, ...], precision: str, progress: str
    ) -> tuple[np.ndarray, np.ndarray]:
        """What the exits on `layers` say of `samples`, as `scaled_probabilities` has it; all processes ask."""
        named = {"progress": progress, "processes": self.processes}
        return scaled_probabilities(model, samples.encoded, self.tokenizer.pad_token_id, layers, precision, **named)

    def traced(self, model: FastBertModel, split: str, rows: Split, exits: Sequence[int]) -> Trace:
        """The trace of a split, in fp32, kept in the run's folder once it is made."""
        path = self.run.folder / f"{split}.npz"
        if not self.processes.told(path.is_file()):
            samples = self._samples(rows)
            p, scale = self._said(model, samples, tuple(exits), "fp32", f"trace of {split}")
            if self.processes.main:
                self.record.save()
                trace = self._trace(p, samples, split, exits, "fp32")
                kept = scale if self._kind is SINGLE else None  # which no rule of another type reads
                save_trace(dataclasses.replace(trace, logsumexp=kept), path)
        self.processes.wait()
        return _load(path, f"delete it to trace {split} again")

    def _epoch_traces(self) -> list[Trace]:
        """The traces that training kept, epochs counted through both stages; epoch 0 is before training."""
        traces = []
        stages = (
            ("fine-tuning", self.run.first_folder, range(self.notes["fine-tuning"]["epochs"] + 1)),
            ("self-distillation", self.run.folder, range(1, self.notes["self-distillation"]["epochs"] + 1)),
        )
        for stage, folder, epochs in stages:
            for epoch in epochs:
                path = folder / "epochs" / f"{stage}-{epoch}.npz"
                trace = _load(path, f"delete {folder} to train the stage again")
                traces.append(dataclasses.replace(trace, metadata=trace.metadata | {"epoch": len(traces)}))
        return traces


def _load(path: Path, remedy: str) -> Trace:
    """A trace of the run's own folders. Raises InputError, with the remedy, if it is missing or damaged."""
    try:
        return load_trace(path)
    except InputError as error:
        raise InputError(f"{error}; {remedy}") from error
