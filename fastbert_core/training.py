"""Training (paper, section 3.3): fine-tuning on labels, then self-distillation; and DistilBERT, to compare with."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from fastbert_core.checkpoint import load_checkpoint, save_checkpoint
from fastbert_core.distillation import compact_loss, distillation_loss, label_loss
from fastbert_core.encoding import Encoded, collate
from fastbert_core.fitting import Schedule, Stage, fit
from fastbert_core.frozen import KeptStates, frozen_states
from fastbert_core.model import FastBertModel
from fastbert_core.precision import autocast
from fastbert_core.tracing import probabilities


@dataclass(frozen=True)
class Samples:
    """Encoded texts with their labels, int64 [samples]."""

    encoded: Encoded
    labels: np.ndarray


@dataclass(frozen=True)
class Workplace:
    """Where and how a stage runs, none of which is part of what it learns.

    folder: takes the stage's checkpoints and result
    after_epoch: called with (stage name, number of finished epochs) on the model as it then is
    before_checkpoint: called before anything to go on from is written
    """

    folder: Path
    pad_id: int
    precision: str
    log: Callable[[str], None]
    after_epoch: Callable[[str, int], None] = lambda stage, epoch: None
    before_checkpoint: Callable[[], None] = lambda: None


def fine_tune(
    model: FastBertModel,
    train: Samples,
    dev: Samples,
    schedule: Schedule,
    place: Workplace,
    students: bool = False,
) -> dict:
    """Fine-tune backbone and teacher on labels; leave the epoch that is best on `dev` in `model`.

    `students=True` trains all classifiers on the labels instead of the teacher alone: the paper's
    "without self-distillation" (table 3). Returns the notes: dev accuracy of each epoch, best epoch.
    A result that stands in the folder is loaded instead of trained again.
    """
    classified = tuple(range(1, model.layers + 1)) if students else (model.layers,)
    heads = model.classifiers if students else model.teacher

    def loss(logits: Tensor, rows: np.ndarray) -> Tensor:
        return label_loss(logits, torch.from_numpy(train.labels[rows]).to(logits.device))

    return _best_on_dev("fine-tuning", model, heads, classified, loss, train, dev, schedule, place)


def distil_compact(
    model: FastBertModel, soft_labels: np.ndarray, train: Samples, dev: Samples, schedule: Schedule, place: Workplace
) -> dict:
    """Train a shallow `model` as DistilBERT, on the labels and a deep teacher's soft labels, best epoch on `dev` kept.

    `soft_labels`: the teacher's class probabilities, float32 [samples, classes]. Only the last layer's
    classifier is trained. Returns the notes, as `fine_tune` does.
    """
    # A probability that underflowed to 0 would be -inf here, and the loss NaN.
    soft = torch.from_numpy(soft_labels).clamp(min=torch.finfo(torch.float32).tiny).log().to(model.device)

    def loss(logits: Tensor, rows: np.ndarray) -> Tensor:
        labels = torch.from_numpy(train.labels[rows]).to(logits.device)
        return compact_loss(logits[:, 0], soft[torch.from_numpy(rows).to(soft.device)], labels)

    classified = (model.layers,)
    return _best_on_dev("compact", model, model.teacher, classified, loss, train, dev, schedule, place)


def _best_on_dev(
    name: str,
    model: FastBertModel,
    heads: nn.Module,
    classified: tuple[int, ...],
    loss: Callable[[Tensor, np.ndarray], Tensor],
    train: Samples,
    dev: Samples,
    schedule: Schedule,
    place: Workplace,
) -> dict:
    """Train the backbone and `heads`, the classifiers on the layers `classified`; `loss` takes logits and rows."""
    result, best = place.folder / f"{name}.safetensors", place.folder / f"{name}-best.safetensors"
    if result.is_file():
        return _load_into(model, result)

    def batch_loss(rows: np.ndarray) -> Tensor:
        model.train()
        batch = collate(train.encoded, rows, place.pad_id, model.device)
        with autocast(model.device, place.precision):
            logits = model(batch.input_ids, batch.mask, batch.token_type_ids, classified)
        return loss(logits, rows)

    def after_epoch(epoch: int, notes: dict) -> None:
        if epoch:  # what stands before training is no candidate
            accuracy, earlier = dev_accuracy(model, dev, place), notes.setdefault("dev_accuracy", [])
            place.log(f"{name}: epoch {epoch} of {schedule.epochs}, dev accuracy {100 * accuracy:.2f}")
            if accuracy > max(earlier, default=-1.0):
                notes["best_epoch"] = epoch
                save_checkpoint(best, model.state_dict(), {})
            earlier.append(accuracy)
        place.after_epoch(name, epoch)

    checkpoint = place.folder / f"{name}-checkpoint.safetensors"
    if checkpoint.is_file() and not best.is_file() and "best_epoch" in load_checkpoint(checkpoint)[1]["notes"]:
        place.log(f"{name}: the weights of the best epoch are gone; beginning the stage again")
        checkpoint.unlink()
    trained = nn.ModuleDict({"backbone": model.backbone, "classifiers": heads})
    trained.requires_grad_(True)  # which an earlier self-distillation may have taken away
    stage = Stage(name, trained, batch_loss, after_epoch, place.before_checkpoint)
    notes = fit(stage, train.encoded.lengths, schedule, checkpoint, place.log)
    _load_into(model, best)
    return _finish(model, notes, result, checkpoint, best)


def self_distil(
    model: FastBertModel, encoded: Encoded, schedule: Schedule, place: Workplace, direction: str = "teacher-student"
) -> dict:
    """Train the students on the teacher's soft labels with everything else frozen; the last epoch is kept.

    `encoded` needs no labels (paper, section 3.3.2: unlabelled text will do). Backbone and teacher run
    without dropout, so that one pass gives the soft labels and the students' inputs for all epochs.
    """
    name = "self-distillation"
    result = place.folder / f"{name}.safetensors"
    if result.is_file():
        return _load_into(model, result)
    model.requires_grad_(False)
    model.students.requires_grad_(True)
    checkpoint = place.folder / f"{name}-checkpoint.safetensors"
    kept = load_checkpoint(checkpoint)[1]["notes"].get("states_kept") if checkpoint.is_file() else None
    frozen = frozen_states(model, encoded, place.pad_id, place.precision, place.folder, place.log, kept)

    def loss(rows: np.ndarray) -> Tensor:
        model.students.train()
        batch = collate(encoded, rows, place.pad_id, model.device)
        hidden, teacher = frozen(rows, batch)
        with autocast(model.device, place.precision):
            student = [classifier(h, batch.mask) for classifier, h in zip(model.students, hidden, strict=True)]
        return distillation_loss(torch.stack(student, dim=1), teacher, direction)

    def after_epoch(epoch: int, notes: dict) -> None:
        notes["states_kept"] = isinstance(frozen, KeptStates)
        place.log(f"{name}: epoch {epoch} of {schedule.epochs}")
        place.after_epoch(name, epoch)

    stage = Stage(name, model.students, loss, after_epoch, place.before_checkpoint)
    notes = fit(stage, encoded.lengths, schedule, checkpoint, place.log)
    return _finish(model, notes, result, checkpoint)


def dev_accuracy(model: FastBertModel, dev: Samples, place: Workplace) -> float:
    """Share of `dev` that the teacher gets right, in [0, 1]."""
    p = probabilities(model, dev.encoded, place.pad_id, (model.layers,), place.precision)
    return float((p[:, 0].argmax(axis=-1) == dev.labels).mean())


def _load_into(model: FastBertModel, path: Path) -> dict:
    tensors, notes = load_checkpoint(path)
    model.load_state_dict(tensors)
    return notes


def _finish(model: FastBertModel, notes: dict, result: Path, *spent: Path) -> dict:
    """Write the stage's result, then drop the files that led to it."""
    save_checkpoint(result, model.state_dict(), notes)
    for path in spent:
        path.unlink(missing_ok=True)
    return notes
