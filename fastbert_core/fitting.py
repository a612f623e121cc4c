"""The training loop of every stage: AdamW, linear warm-up and decay, and checkpoints that resume to the same bits."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from fastbert_core.checkpoint import load_checkpoint, save_checkpoint
from fastbert_core.encoding import shuffled_batches
from fastbert_core.errors import RunError
from fastbert_core.memory import freed_memory_kept


@dataclass(frozen=True)
class Schedule:
    """How a stage is trained. Rates, epochs and batch size: paper, section 4.1; the rest: the suite's choices."""

    epochs: int
    rate: float
    batch_size: int = 32
    warmup: float = 0.1
    weight_decay: float = 0.0
    seed: int = 7
    checkpoint_seconds: float = 120.0


@dataclass
class Stage:
    """One stage of training.

    loss: from the rows of a batch to its scalar loss
    trained: the module that holds every parameter the stage trains, and no other
    after_epoch: called with the number of finished epochs (0 before the first step) and the stage's
        notes, a JSON-like dict that is kept in checkpoints
    before_checkpoint: called before each checkpoint is written
    """

    name: str
    trained: nn.Module
    loss: Callable[[np.ndarray], Tensor]
    after_epoch: Callable[[int, dict], None]
    before_checkpoint: Callable[[], None] = lambda: None


def learning_rate(step: int, steps: int, schedule: Schedule) -> float:
    """Learning rate of step number `step` (from 0) out of `steps`: linear warm-up, then linear decay to 0."""
    warm = math.ceil(schedule.warmup * steps)
    if step < warm:
        return schedule.rate * (step + 1) / warm
    return schedule.rate * (steps - step) / (steps - warm)


def fit(stage: Stage, lengths: np.ndarray, schedule: Schedule, checkpoint: Path, log: Callable[[str], None]) -> dict:
    """Train `stage` on samples of the given `lengths` [samples]; return its notes.

    Continues from `checkpoint` if it is there, to the same bits as if it had never stopped: the order of
    samples follows from (seed, epoch), and the state of dropout's random numbers is part of the checkpoint.
    Raises RunError, naming the step, if the loss is not finite; the last checkpoint then stands.
    """
    parameters = dict(stage.trained.named_parameters())
    optimizer = _adamw(parameters, schedule)
    per_epoch = math.ceil(len(lengths) / schedule.batch_size)
    steps, step, notes = schedule.epochs * per_epoch, 0, {}
    if checkpoint.is_file():
        step, notes = _restore(checkpoint, parameters, optimizer)
        log(f"{stage.name}: continuing at step {step} of {steps}")
    else:
        torch.manual_seed(schedule.seed)
        stage.after_epoch(0, notes)

    saved = time.monotonic()
    bar = tqdm(total=steps, initial=step, desc=stage.name, unit="step", disable=None, smoothing=0.05)
    with bar, freed_memory_kept():
        for epoch in range(step // per_epoch, schedule.epochs):
            batches = shuffled_batches(lengths, schedule.batch_size, schedule.seed, epoch)
            for rows in batches[step - epoch * per_epoch :]:
                for group in optimizer.param_groups:
                    group["lr"] = learning_rate(step, steps, schedule)
                loss = stage.loss(rows)
                value = loss.item()
                if not math.isfinite(value):
                    raise RunError(f"{stage.name}: the loss became {value} at step {step + 1} of {steps}")
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                step += 1
                bar.set_postfix(loss=f"{value:.3f}", refresh=False)
                bar.update()
                if time.monotonic() - saved > schedule.checkpoint_seconds and step % per_epoch:
                    stage.before_checkpoint()
                    _save(checkpoint, parameters, optimizer, step, notes)
                    saved = time.monotonic()
            stage.after_epoch(epoch + 1, notes)
            stage.before_checkpoint()
            _save(checkpoint, parameters, optimizer, step, notes)
            saved = time.monotonic()
    optimizer.zero_grad(set_to_none=True)  # gradients would take the weights' memory again
    return notes


def _adamw(parameters: dict[str, nn.Parameter], schedule: Schedule) -> torch.optim.AdamW:
    """AdamW with bias correction, eps 1e-6 and, as for BERT, no decay of biases and LayerNorm."""
    decayed = [p for p in parameters.values() if p.ndim > 1]
    plain = [p for p in parameters.values() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": schedule.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=schedule.rate, eps=1e-6, fused=True)


def _save(path: Path, parameters: dict, optimizer: torch.optim.AdamW, step: int, notes: dict) -> None:
    tensors = {f"weight.{name}": parameter for name, parameter in parameters.items()}
    for name, parameter in parameters.items():
        for key, value in optimizer.state[parameter].items():
            tensors[f"{key}.{name}"] = value
    tensors["random.cpu"] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors["random.cuda"] = torch.cuda.get_rng_state()
    save_checkpoint(path, tensors, {"step": step, "notes": notes})


@torch.no_grad()
def _restore(path: Path, parameters: dict, optimizer: torch.optim.AdamW) -> tuple[int, dict]:
    tensors, state = load_checkpoint(path)
    for name, parameter in parameters.items():
        parameter.copy_(tensors[f"weight.{name}"])
        for key in ("step", "exp_avg", "exp_avg_sq"):
            # The fused optimiser keeps its step count on the device of the weights.
            optimizer.state[parameter][key] = tensors[f"{key}.{name}"].to(parameter.device)
    torch.set_rng_state(tensors["random.cpu"])
    if "random.cuda" in tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors["random.cuda"])
    return state["step"], state["notes"]
