"""The stations of one run: training and tracing, each of which picks up what an earlier attempt left."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from fastbert_core.checkpoint import load_checkpoint, save_checkpoint
from fastbert_core.data import Split, take_rows
from fastbert_core.encoding import encode, load_tokenizer
from fastbert_core.errors import InputError
from fastbert_core.flops import EncoderShape
from fastbert_core.model import FastBertModel
from fastbert_core.trace import Trace, load_trace, save_trace
from fastbert_core.tracing import probabilities
from fastbert_core.training import Samples, Workplace, distil_compact, fine_tune, self_distil
from reproductions.job import Job
from reproductions.provenance import RunRecord
from reproductions.settings import distilbert_layers

KL = {"default": "teacher-student", "reverse-kl": "student-teacher"}
# Which dev rows are traced: the same for every seed, so that their traces can be averaged.
TRACED_ROWS_SEED = 7


class Stations:
    """What the stations of one run share: tokenizer, samples and folders."""

    def __init__(self, job: Job, record: RunRecord, log: Callable[[str], None]) -> None:
        self.job, self.record, self.log = job, record, log
        self.first_record = RunRecord(job.fine_tuning_folder, job.device)
        self.tokenizer = load_tokenizer(job.backbone.source)
        s, data = job.settings, job.data
        self._train_samples = self._samples(job.train)
        self._dev_samples = self._samples(take_rows(data.dev, min(s.dev_rows, len(data.dev)), s.seed))
        self._dev_traced = take_rows(data.dev, min(s.epoch_trace_rows, len(data.dev)), TRACED_ROWS_SEED)

    def train(self) -> FastBertModel:
        """The trained model: FastBERT, its first stage alone where it learns from labels, or a DistilBERT of it."""
        job, s = self.job, self.job.settings
        torch.manual_seed(s.seed)  # for the weights of the fresh classifiers
        task = job.data.task
        model = FastBertModel.from_backbone(job.backbone.source, task.classes, task.pair).to(job.device)
        first = self._workplace(job.fine_tuning_folder, model, self.first_record)
        on_labels = s.variant == "labels"
        fine_tune(model, self._train_samples, self._dev_samples, s.fine_tuning, first, students=on_labels)
        self.record.skip()
        if s.model == "distilbert":
            return self._compact(model, distilbert_layers(s.variant))
        if not on_labels:
            second = self._workplace(job.folder, model, self.record)
            self_distil(model, self._train_samples.encoded, s.distillation, second, KL[s.variant])
        return model

    def _compact(self, teacher: FastBertModel, layers: int) -> FastBertModel:
        model, soft = teacher.first_of_blocks(layers), self._soft_labels(teacher)
        self.record.skip()
        place = self._workplace(self.job.folder, model, self.record)
        distil_compact(model, soft, self._train_samples, self._dev_samples, self.job.settings.fine_tuning, place)
        return model

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

    def traces(self, model: FastBertModel) -> list[Trace]:
        """The trace of the test set; of a default FastBERT those of dev, trained and by epoch, too."""
        classified = (model.layers,) if self.job.settings.model == "distilbert" else None
        traces = [self._stored(model, "test", self.job.data.test, classified)]
        if self._is_default:
            traces += [self._stored(model, "dev", self._dev_traced, classified), *self._epoch_traces()]
        return traces

    @property
    def _is_default(self) -> bool:
        return (self.job.settings.model, self.job.settings.variant) == ("fastbert", "default")

    def _samples(self, split: Split) -> Samples:
        return Samples(encode(self.tokenizer, split.texts, split.pairs, self.job.settings.max_tokens), split.labels)

    def _workplace(self, folder: Path, model: FastBertModel, record: RunRecord) -> Workplace:
        """Where a stage runs. The first stage, which runs have in common, keeps its epoch traces whoever trains it."""
        dev, s = self._samples(self._dev_traced), self.job.settings

        def after_epoch(stage: str, epoch: int) -> None:
            fine_tuning = stage == "fine-tuning" and s.variant != "labels"
            # Before self-distillation nothing has changed since fine-tuning but the choice of the best epoch.
            if fine_tuning or (stage == "self-distillation" and self._is_default and epoch):
                trace = self._trace(
                    model, "dev", dev, (model.layers,) if fine_tuning else None, stage=stage, epoch=epoch
                )
                save_trace(trace, folder / "epochs" / f"{stage}-{epoch}.npz")

        return Workplace(folder, self.tokenizer.pad_token_id, s.precision, self.log, after_epoch, record.save)

    def _trace(
        self, model: FastBertModel, split: str, samples: Samples, classified: tuple[int, ...] | None, **more: object
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
            "encoder": dataclasses.asdict(EncoderShape.from_config(model.config)),
            "precision": "fp32",
        }
        return Trace(p, samples.labels.astype(np.int64), samples.encoded.lengths, metadata | more)

    def _stored(self, model: FastBertModel, split: str, rows: Split, classified: tuple[int, ...] | None) -> Trace:
        """The trace of a split, kept in the run's folder once it is made."""
        path = self.job.folder / f"{split}.npz"
        if not path.is_file():
            trace = self._trace(model, split, self._samples(rows), classified)
            self.record.save()
            save_trace(trace, path)
        return _load(path, f"delete it to trace {split} again")

    def _epoch_traces(self) -> list[Trace]:
        """The traces that training kept, epochs counted through both stages; epoch 0 is before training."""
        traces, job, s = [], self.job, self.job.settings
        stages = (
            ("fine-tuning", job.fine_tuning_folder, range(s.fine_tuning_epochs + 1)),
            ("self-distillation", job.folder, range(1, s.distillation_epochs + 1)),
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
