"""The stations of one run: training and tracing, each of which picks up what an earlier attempt left."""

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from fastbert_core.baseline import baseline
from fastbert_core.checkpoint import load_checkpoint, save_checkpoint
from fastbert_core.data import Split
from fastbert_core.encoding import encode, load_tokenizer
from fastbert_core.errors import InputError
from fastbert_core.files import atomic_write
from fastbert_core.flops import EncoderShape
from fastbert_core.model import FastBertModel
from fastbert_core.trace import Trace, load_trace, save_trace
from fastbert_core.tracing import probabilities
from fastbert_core.train import Samples, Workplace, train
from fastbert_core.trainings import TRAININGS, Stage
from reproductions.job import Job
from reproductions.provenance import RunRecord
from reproductions.settings import distilbert_layers


class Stations:
    """What the stations of one run share: tokenizer, samples and folders."""

    def __init__(self, job: Job, record: RunRecord, log: Callable[[str], None]) -> None:
        self.job, self.record, self.log = job, record, log
        self.first_record = RunRecord(job.fine_tuning_folder, job.device)
        self.tokenizer = load_tokenizer(job.backbone.source)
        s = job.settings
        self._train_samples = self._samples(job.train)
        self._selection = self._samples(job.selection)
        self._few = self._samples(job.selection.take(np.arange(min(s.epoch_trace_rows, len(job.selection)))))
        self.notes: dict[str, dict] = {}  # of each stage, by its name

    def train(self) -> FastBertModel:
        """The trained model: every stage of the run's training, the first of which several runs may share."""
        job, s = self.job, self.job.settings
        torch.manual_seed(s.seed)  # for the weights of the fresh classifiers
        task = job.data.task
        model = FastBertModel.from_backbone(job.backbone.source, task.classes, task.pair, s.classifier_init)
        model = model.to(job.device)
        samples, is_shallow = self._train_samples, s.model == "distilbert"
        first, *later = TRAININGS["self-distillation" if is_shallow else s.training](s.schedules)
        self._stage(model, first, samples, job.fine_tuning_folder, self.first_record)
        self.record.skip()
        if is_shallow:
            samples = dataclasses.replace(samples, soft=self._soft_labels(model))
            self.record.skip()
            model, later = model.first_of_blocks(distilbert_layers(s.variant)), TRAININGS[s.training](s.schedules)
        for stage in later:
            self._stage(model, stage, samples, job.folder, self.record)
        return model

    def _stage(self, model: FastBertModel, stage: Stage, samples: Samples, folder: Path, record: RunRecord) -> None:
        """One stage; of FastBERT's training, keep a trace of some held-out rows at the end of each epoch."""
        s, dev = self.job.settings, self._few if stage.frozen else self._selection

        def after_epoch(stage: Stage, epoch: int, p: np.ndarray) -> None:
            # Before self-distillation nothing has changed since fine-tuning but the choice of the best epoch.
            if stage.name == "fine-tuning" or (stage.name == "self-distillation" and self._is_default and epoch):
                few, exits = self._few, (model.layers,) if stage.exits == "last" else range(1, model.layers + 1)
                trace = self._trace(p[: len(few.labels)], few, "dev", exits, s.precision, stage=stage.name, epoch=epoch)
                save_trace(trace, folder / "epochs" / f"{stage.name}-{epoch}.npz")

        pad_id = self.tokenizer.pad_token_id
        place = Workplace(folder, pad_id, s.precision, self.log, s.seed, after_epoch, record.save)
        self._config = model.config
        self.notes[stage.name] = train(model, stage, samples, dev, place)

    def _soft_labels(self, teacher: FastBertModel) -> np.ndarray:
        """The teacher's class probabilities of the training rows, made once for all its DistilBERTs."""
        path = self.job.fine_tuning_folder / "soft-labels.safetensors"
        if not path.is_file():
            self.first_record.skip()
            encoded, last = self._train_samples.encoded, (teacher.layers,)
            pad_id, precision = self.tokenizer.pad_token_id, self.job.settings.precision
            soft = probabilities(teacher, encoded, pad_id, last, precision, progress="soft labels")[:, 0]
            self.first_record.save()
            save_checkpoint(path, {"soft_labels": torch.from_numpy(soft)}, {})
        return load_checkpoint(path)[0]["soft_labels"].numpy()

    def learnt(self) -> dict[str, float | int | None]:
        """What training came to, as columns of runs.csv."""
        first, students = next(iter(self.notes.values())), self.notes.get("self-distillation", {})
        return {
            "baseline_accuracy": self._baseline()["accuracy"],
            "best_epoch": first.get("best_epoch"),
            "distillation_epochs": students.get("epochs"),
            "held_out_loss": students["held_out_loss"][-1] if students else None,
        }

    def _baseline(self) -> dict:
        """What logistic regression on the frozen encoder comes to, made once for all runs of the first stage."""
        path = self.job.fine_tuning_folder / "baseline.json"
        if not path.is_file():
            fresh = FastBertModel.from_backbone(self.job.backbone.source, self.job.data.task.classes)
            test, pad_id = self._samples(self.job.data.test), self.tokenizer.pad_token_id
            found = baseline(fresh.to(self.job.device), self._train_samples, self._selection, test, pad_id)
            self.log(f"baseline: logistic regression on the frozen encoder, {found.accuracy:.2f} on the test set")
            with atomic_write(path) as file:
                file.write(json.dumps(found._asdict()).encode())
        return json.loads(path.read_text("utf-8"))

    def traces(self, model: FastBertModel) -> list[Trace]:
        """The trace of the test set; of a default FastBERT those of the calibration rows and of each epoch too."""
        exits = (model.layers,) if self.job.settings.model == "distilbert" else range(1, model.layers + 1)
        traces = [self._stored(model, "test", self.job.data.test, exits)]
        if self._is_default:
            traces += [self._stored(model, "dev", self.job.calibration, exits), *self._epoch_traces()]
        return traces

    @property
    def _is_default(self) -> bool:
        return (self.job.settings.model, self.job.settings.variant) == ("fastbert", "default")

    def _samples(self, split: Split) -> Samples:
        return Samples(encode(self.tokenizer, split.texts, split.pairs, self.job.settings.max_tokens), split.labels)

    def _trace(
        self, p: np.ndarray, samples: Samples, split: str, layers: Sequence[int], precision: str, **more: object
    ) -> Trace:
        """What the exits on `layers` say of `samples`: `p`, float32 [samples, layers, classes]."""
        s = self.job.settings
        metadata = {
            "run_id": self.job.run_id,
            "task": s.task,
            "model": s.model,
            "variant": s.variant,
            "seed": s.seed,
            "split": split,
            "classes": list(self.job.data.task.classes),
            "layers": list(layers),
            "encoder": dataclasses.asdict(EncoderShape.from_config(self._config)),
            "precision": precision,
        }
        return Trace(p, samples.labels.astype(np.int64), samples.encoded.lengths, metadata | more)

    def _stored(self, model: FastBertModel, split: str, rows: Split, exits: Sequence[int]) -> Trace:
        """The trace of a split, in fp32, kept in the run's folder once it is made."""
        path = self.job.folder / f"{split}.npz"
        if not path.is_file():
            samples, pad_id = self._samples(rows), self.tokenizer.pad_token_id
            p = probabilities(model, samples.encoded, pad_id, tuple(exits), "fp32", progress=f"trace of {split}")
            self.record.save()
            save_trace(self._trace(p, samples, split, exits, "fp32"), path)
        return _load(path, f"delete it to trace {split} again")

    def _epoch_traces(self) -> list[Trace]:
        """The traces that training kept, epochs counted through both stages; epoch 0 is before training."""
        traces, job, s = [], self.job, self.job.settings
        stages = (
            ("fine-tuning", job.fine_tuning_folder, range(self.notes["fine-tuning"]["epochs"] + 1)),
            ("self-distillation", job.folder, range(1, self.notes["self-distillation"]["epochs"] + 1)),
        )
        for stage, folder, epochs in stages:
            for epoch in epochs:
                path = folder / "epochs" / f"{stage}-{epoch}.npz"
                trace = _load(path, f"delete {folder} to train the stage again")
                # Another run may have trained the first stage.
                named = {"run_id": job.run_id, "model": s.model, "variant": s.variant, "epoch": len(traces)}
                traces.append(dataclasses.replace(trace, metadata=trace.metadata | named))
        return traces


def _load(path: Path, remedy: str) -> Trace:
    """A trace of the run's own folders. Raises InputError, with the remedy, if it is missing or damaged."""
    try:
        return load_trace(path)
    except InputError as error:
        raise InputError(f"{error}; {remedy}") from error
