"""Training: one loop for every stage of every training, from top to bottom. What a stage is stands in trainings/."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm
from transformers import PreTrainedTokenizerBase

from fastbert_core.checkpoint import load_checkpoint, save_checkpoint
from fastbert_core.encoding import Batch, Encoded, collate, shuffled_batches, sorted_batches
from fastbert_core.errors import InputError, RunError
from fastbert_core.frozen import Frozen, KeptStates, StatesOnDevice, frozen_states
from fastbert_core.heads import logits_of_each
from fastbert_core.losses import OF_A_DEEP_TEACHER, Loss, Targets
from fastbert_core.matching import match
from fastbert_core.memory import freed_memory_kept
from fastbert_core.model import FastBertModel
from fastbert_core.optimizer import adamw, learning_of, set_rates, steps_of
from fastbert_core.precision import autocast
from fastbert_core.processes import ALONE, Alone
from fastbert_core.task_types import TaskType
from fastbert_core.tracing import evaluating, probabilities
from fastbert_core.trainings import Stage
from fastbert_core.tsv import Split


@dataclass(frozen=True)
class Samples:
    """Encoded texts with their labels, int64 [units], as a trace has them, and perhaps soft labels, float32
    [samples, classes]."""

    encoded: Encoded
    labels: np.ndarray
    soft: np.ndarray | None = None

    @classmethod
    def of(cls, kind: TaskType, tokenizer: PreTrainedTokenizerBase, split: Split, max_tokens: int) -> "Samples":
        """The rows of a split, encoded."""
        encoded = kind.encode(tokenizer, split.texts, split.pairs, max_tokens)
        return cls(encoded, kind.of_units(split.labels, encoded.word_counts))

    def targets(self, rows: np.ndarray | slice, device: torch.device | str = "cpu") -> Targets:
        """What the given rows teach."""
        soft = None if self.soft is None else torch.from_numpy(self.soft[rows]).to(device)
        units = rows if isinstance(rows, slice) else self.encoded.units(rows)
        return Targets(torch.from_numpy(self.labels[units]).to(device), soft)


@dataclass(frozen=True)
class Workplace:
    """Where and how a stage runs.

    folder: takes the stage's checkpoints and result
    seed: of the order of samples and of dropout
    after_epoch: called with the stage, the number of finished epochs, and what the exits it runs then say of the
        held-out rows, float32 [units, exits, classes]; with 0 before the first step
    before_checkpoint: called before anything to go on from is written
    processes: that train the model together; the callbacks are called in the main one alone
    """

    folder: Path
    pad_id: int
    precision: str
    log: Callable[[str], None]
    seed: int = 7
    after_epoch: Callable[[Stage, int, np.ndarray], None] = lambda stage, epoch, p: None
    before_checkpoint: Callable[[], None] = lambda: None
    checkpoint_seconds: float = 120.0
    processes: Alone = ALONE


def train(
    model: FastBertModel,
    stage: Stage,
    samples: Samples,
    dev: Samples,
    place: Workplace,
    deep: FastBertModel | None = None,
) -> dict:
    """Train what `stage` trains of `model`, in place, and return its notes; `dev` are the held-out rows.

    `deep` is the teacher whose states a stage that `matches` holds against those of `model`, which has fewer layers.

    A result that stands in the folder is loaded instead. Else it goes on from the last checkpoint there, to the same
    bits as if it had never stopped: the order of samples follows from (seed, epoch), and the state of dropout's random
    numbers is part of the checkpoint. Several processes share the rows of each batch; their dropout follows from (seed,
    process, step), so that any number of processes may go on from a checkpoint. Notes, JSON-like: `epochs`; of each
    epoch `train_loss`, `held_out_loss` and `dev_accuracy` (of the last exit, in [0, 1]); `best_epoch` where the best is
    kept.
    Raises RunError, naming the step, if the loss is not finite; the last checkpoint then stands. Raises ValueError if
    the stage matches and there is no `deep`, InputError if several processes cannot share its batches.
    """
    if stage.matches and deep is None:
        raise ValueError(f"{stage.name}: found no deep teacher, expected the one whose states are matched")
    together = place.processes
    check_shareable(stage, model.kind, together)
    if not together.main:
        place = replace(place, log=_nothing, after_epoch=_nothing, before_checkpoint=_nothing)
    result, best, checkpoint = (place.folder / f"{stage.name}{end}.safetensors" for end in ("", "-best", "-checkpoint"))
    learning = learning_of(model, stage)
    if together.told(result.is_file()):
        place.log(f"{stage.name}: trained before, loaded from {place.folder}")
        return _load_into(learning, result)
    begun = together.main and checkpoint.is_file() and not best.is_file()
    if begun and "best_epoch" in load_checkpoint(checkpoint)[1]["notes"]:
        place.log(f"{stage.name}: the weights of the best epoch are gone; beginning the stage again")
        checkpoint.unlink()
    schedule = stage.schedule
    optimizer = adamw(learning, schedule)
    per_epoch = math.ceil(len(samples.encoded) / schedule.batch_size)
    step, notes = 0, {}
    if together.told(checkpoint.is_file()):
        step, notes, count = _restore(checkpoint, learning, optimizer)
        others = "" if count == together.count else f", so far with {count} processes, now with {together.count}"
        place.log(f"{stage.name}: continuing at step {step}{others}")
    else:
        torch.manual_seed(place.seed)
    exits = _Exits(model, stage, samples, dev, place, notes, deep)
    loss_of = together.prepared(_Loss(model, exits, model.kind.losses[stage.loss]), np.arange(1))
    if not step:
        place.after_epoch(stage, 0, exits.held_out())

    saved, losses = time.monotonic(), []  # of steps that nobody has looked at yet
    quiet = None if together.main else True
    bar = tqdm(total=steps_of(schedule, per_epoch, notes), initial=step, desc=stage.name, unit="step", disable=quiet)
    with bar, freed_memory_kept() as relieve:
        while step < (steps := steps_of(schedule, per_epoch, notes)):
            epoch, bar.total = step // per_epoch, steps
            notes.setdefault("loss_sum", 0.0)
            batches = shuffled_batches(samples.encoded.lengths, schedule.batch_size, place.seed, epoch)
            exits.learn()
            for rows in batches[step - epoch * per_epoch :]:
                set_rates(optimizer, step, steps, per_epoch, schedule, notes)
                together.seed(place.seed, step)
                weight, mine = together.weight(len(rows)), together.share(rows)
                loss = weight * loss_of(mine if len(mine) else rows[:1], step)
                losses.append(loss.detach())
                if len(losses) == together.check_every or (step + 1) % per_epoch == 0:
                    values, first = together.means(losses), step + 1 - len(losses)
                    losses.clear()
                    for at, value in enumerate(values, start=first + 1):
                        if not math.isfinite(value):
                            error = RunError(f"{stage.name}: the loss became {value} at step {at} of {steps}")
                            raise together.failed(error)
                        notes["loss_sum"] += value
                    bar.set_postfix(loss=f"{value:.3f}", refresh=False)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                relieve()
                step += 1
                bar.update()
                due = not losses and time.monotonic() - saved > place.checkpoint_seconds and step % per_epoch
                if due and together.main:
                    place.before_checkpoint()
                    _save(checkpoint, learning, optimizer, step, notes, together.count)
                    saved = time.monotonic()

            p = exits.held_out()  # [units, exits, classes]
            loss = notes.pop("loss_sum") / per_epoch
            is_best = _note_epoch(model, stage, notes, loss, p, dev, place)
            if is_best and stage.keeps == "best" and together.main:
                save_checkpoint(best, learning, {})
            place.after_epoch(stage, epoch + 1, p)
            if together.main:
                place.before_checkpoint()
                _save(checkpoint, learning, optimizer, step, notes, together.count)
            saved = time.monotonic()
    optimizer.zero_grad(set_to_none=True)  # gradients would take the weights' memory again
    together.wait()  # for the main one to have written the best
    if stage.keeps == "best":
        _load_into(learning, best)
    together.wait()  # for all to have read it
    if together.main:
        save_checkpoint(result, learning, notes)
        for spent in (checkpoint, best):
            spent.unlink(missing_ok=True)
    together.wait()
    return notes


def check_shareable(stage: Stage, kind: TaskType, together: Alone) -> None:
    """Raise InputError if several processes cannot share the stage's batches: its loss is no mean over rows."""
    if together.count > 1 and (kind.of_words or stage.matches == "hidden-and-attention"):
        of = "words" if kind.of_words else "tokens"
        found = f"{stage.name}: found {together.count} processes for a loss that is a mean over {of}"
        raise together.failed(InputError(f"{found}, expected one; accelerate launch --num_processes 1"))


def _nothing(*_: object) -> None:
    """What other processes than the main one have to say."""


class _Loss(nn.Module):
    """What a step minimises, as a module, whose parameters several processes may hold in common."""

    def __init__(self, model: FastBertModel, exits: "_Exits", loss: Loss) -> None:
        super().__init__()
        self.model, self._exits, self._loss = model, exits, loss

    def forward(self, rows: np.ndarray, step: int) -> Tensor:
        """The scalar for rows of the stage's samples."""
        return self._loss(*self._exits(rows, step))


class _Exits:
    """The logits [b, exits, classes] of the exits that a stage runs, for rows of its samples or all held-out rows.

    Where the backbone is frozen, hidden states, and the logits of a teacher that does not learn, are computed once,
    without dropout.
    """

    def __init__(
        self,
        model: FastBertModel,
        stage: Stage,
        samples: Samples,
        dev: Samples,
        place: Workplace,
        notes: dict,
        deep: FastBertModel | None,
    ) -> None:
        self._model, self._stage, self._place, self._deep = model, stage, place, deep
        self._samples, self._dev = samples, dev
        self._layers = (model.layers,) if stage.exits == "last" else tuple(range(1, model.layers + 1))
        self._learning = [layer for layer in self._layers if layer < model.layers or "teacher" in stage.trains]
        self._states: dict[str, Frozen] = {}
        if stage.frozen:
            kept = notes.get("states_kept", {})
            if place.processes.count > 1:  # each would keep all of them
                kept = {"dev": False, "train": False}
            for name, part in (("dev", dev), ("train", samples)):
                self._states[name] = frozen_states(
                    model,
                    part.encoded,
                    place.pad_id,
                    place.precision,
                    place.folder,
                    place.log,
                    self._learning,
                    kept.get(name),
                )
            notes["states_kept"] = {
                name: isinstance(states, KeptStates | StatesOnDevice) for name, states in self._states.items()
            }

    def learn(self) -> None:
        """Dropout in what learns, and nowhere else: once an epoch, as asking all modules for it takes milliseconds."""
        self._model.train(not self._stage.frozen)
        for layer in self._learning:
            self._model.classifiers[layer - 1].train()

    def __call__(self, rows: np.ndarray, step: int) -> tuple[Tensor, Targets]:
        """Of training rows, after `learn`; and what the rows teach."""
        model, stage = self._model, self._stage
        batch = collate(self._samples.encoded, rows, self._place.pad_id, model.device)
        targets = self._samples.targets(rows, model.device)._replace(step=step)
        if stage.frozen:
            return self._from_states("train", rows, batch), targets
        with autocast(model.device, self._place.precision):
            if stage.matches:
                matched = match(model, self._deep, batch, attention=stage.matches == "hidden-and-attention")
                last = model.teacher(matched.student.hidden[-1], batch.mask)
                return last[:, None], targets._replace(matched=matched)
            ids, mask, types = batch.input_ids, batch.mask, batch.token_type_ids
            return batch.of_units(model.exit_logits(ids, mask, types, self._layers, stage.gradients)), targets

    def held_out(self) -> np.ndarray:
        """Probabilities float32 [units, exits, classes] of the held-out rows."""
        model, place, encoded = self._model, self._place, self._dev.encoded
        if not self._stage.frozen:
            together = {"processes": place.processes}
            return probabilities(model, encoded, place.pad_id, self._layers, place.precision, **together)
        p = np.zeros((encoded.unit_count, len(self._layers), model.config.num_labels), np.float32)
        for rows in place.processes.share(sorted_batches(encoded.lengths)):
            with evaluating(model):
                logits = self._from_states("dev", rows, collate(encoded, rows, place.pad_id, model.device))
            p[encoded.units(rows)] = model.kind.activate(logits).cpu().numpy()
        return place.processes.whole(p)

    def _from_states(self, name: str, rows: np.ndarray, batch: Batch) -> Tensor:
        hidden, teacher = self._states[name](rows, batch)
        heads = [self._model.classifiers[at - 1] for at in self._learning]
        with autocast(self._model.device, self._place.precision):
            logits = [batch.of_units(said) for said in logits_of_each(heads, hidden, batch.mask)]
        frozen = [] if self._model.layers in self._learning else [teacher]
        return torch.stack([said.float() for said in (*logits, *frozen)], dim=1)


def _note_epoch(
    model: FastBertModel, stage: Stage, notes: dict, loss: float, p: np.ndarray, dev: Samples, place: Workplace
) -> bool:
    """Note what an epoch came to, and say it; return whether it is the best so far."""
    kind, classes = model.kind, model.config.class_names
    logits = kind.logits(torch.from_numpy(p))
    # Held-out rows have no deeper teacher: a shallow model is held against the labels there.
    loss_of = kind.losses["cross-entropy" if stage.loss in OF_A_DEEP_TEACHER else stage.loss]
    held_out = loss_of(logits, dev.targets(slice(None))).item()
    accuracy = float(kind.quality(kind.answer(p[:, -1:]), dev.labels, dev.encoded.word_counts, classes).mean())
    # Hundreds of held-out rows often tie, and of equals the first is not the best: their loss tells them apart.
    earlier = zip(notes.get("dev_accuracy", []), (-loss for loss in notes.get("held_out_loss", [])), strict=True)
    best = all((accuracy, -held_out) > one for one in earlier)
    for name, value in (("train_loss", loss), ("held_out_loss", held_out), ("dev_accuracy", accuracy)):
        notes.setdefault(name, []).append(value)
    notes["epochs"] = len(notes["train_loss"])
    if best and stage.keeps == "best":
        notes["best_epoch"] = notes["epochs"]
    of = "" if stage.schedule.until_flat else f" of {stage.schedule.epochs}"
    said = "" if stage.frozen else f", dev accuracy {100 * accuracy:.2f}"
    place.log(f"{stage.name}: epoch {notes['epochs']}{of}, loss {loss:.4f}, held out {held_out:.4f}{said}")
    return best


@torch.no_grad()
def _load_into(learning: dict[str, nn.Parameter], path: Path) -> dict:
    """Give a stage's parameters what it has learnt, and return its notes; all other parts of the model stay."""
    tensors, notes = load_checkpoint(path)
    for name, parameter in learning.items():
        parameter.copy_(tensors[name])
    return notes


def _save(path: Path, learning: dict, optimizer: torch.optim.AdamW, step: int, notes: dict, count: int) -> None:
    tensors = {f"weight.{name}": parameter for name, parameter in learning.items()}
    for name, parameter in learning.items():
        for key, value in optimizer.state[parameter].items():
            tensors[f"{key}.{name}"] = value
    tensors["random.cpu"] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors["random.cuda"] = torch.cuda.get_rng_state()
    several = {"processes": count} if count > 1 else {}
    save_checkpoint(path, tensors, {"step": step, "notes": notes} | several)


@torch.no_grad()
def _restore(path: Path, learning: dict, optimizer: torch.optim.AdamW) -> tuple[int, dict, int]:
    """What goes on: the step, the notes, and how many processes came so far."""
    tensors, state = load_checkpoint(path)
    for name, parameter in learning.items():
        parameter.copy_(tensors[f"weight.{name}"])
        for key in ("step", "exp_avg", "exp_avg_sq"):
            # The fused optimiser keeps its step count on the device of the weights.
            optimizer.state[parameter][key] = tensors[f"{key}.{name}"].to(parameter.device)
    torch.set_rng_state(tensors["random.cpu"])
    if "random.cuda" in tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors["random.cuda"])
    return state["step"], state["notes"], state.get("processes", 1)
