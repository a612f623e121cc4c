"""AdamW as BERT is trained with it: what learns, and how the rates rise, hold and fall."""

import math

import torch
from torch import nn

from fastbert_core.model import FastBertModel
from fastbert_core.trainings import Schedule, Stage

EPS, BETAS = 1e-6, (0.9, 0.999)  # AdamW's; the authors' eps
# A stage that runs until its held-out loss is flat: what an epoch must lower it by, as a share, not to count as flat;
# for how many epochs, as a share of the least number, the rate then falls; how many times that number it may run.
FLAT, COOLING, LONGEST = 0.02, 0.4, 5


def learning_of(model: FastBertModel, stage: Stage) -> dict[str, nn.Parameter]:
    """The parameters that a stage trains, by name; no other asks for gradients."""
    last = f"classifiers.{model.layers - 1}."
    learning = {}
    for name, parameter in model.named_parameters():
        part = "backbone" if name.startswith("backbone.") else "teacher" if name.startswith(last) else "students"
        parameter.requires_grad_(part in stage.trains)
        if part in stage.trains:
            learning[name] = parameter
    return learning


def adamw(learning: dict[str, nn.Parameter], schedule: Schedule) -> torch.optim.AdamW:
    """AdamW with, as for BERT, no decay of biases and LayerNorm; the classifiers' groups may have their own rate."""
    groups: dict[tuple[bool, bool], list] = {}
    for name, parameter in learning.items():
        groups.setdefault((name.startswith("classifiers."), parameter.ndim > 1), []).append(parameter)
    head_rate = schedule.rate if schedule.classifier_rate is None else schedule.classifier_rate
    options = [
        {
            "params": parameters,
            "rate": head_rate if head else schedule.rate,
            "decay": schedule.weight_decay if decayed else 0.0,
        }
        for (head, decayed), parameters in groups.items()
    ]
    return torch.optim.AdamW(options, lr=schedule.rate, betas=BETAS, eps=EPS, fused=True)


def steps_of(schedule: Schedule, per_epoch: int, notes: dict) -> int:
    """How many steps a stage has, as far as can be known."""
    if not schedule.until_flat:
        return schedule.epochs * per_epoch
    flat = flat_after(schedule, notes)
    so_far = max(schedule.epochs - _cooling(schedule), notes.get("epochs", 0) + 1)
    return ((flat or so_far) + _cooling(schedule)) * per_epoch


def set_rates(
    optimizer: torch.optim.AdamW, step: int, steps: int, per_epoch: int, schedule: Schedule, notes: dict
) -> None:
    """Set AdamW up for step number `step` (from 0)."""
    warm = math.ceil(schedule.warmup * schedule.epochs * per_epoch)
    falls = warm
    if schedule.until_flat:
        flat = flat_after(schedule, notes)
        falls = steps if flat is None else max(warm, flat * per_epoch)
    share = rate_share(step, warm, falls, steps)
    # Without bias correction AdamW moves by m / (sqrt(v) + eps); torch's divides m and v by these.
    first, second = (1 - beta ** (step + 1) for beta in BETAS)
    more = 1.0 if schedule.bias_correction else 1 / math.sqrt(second)
    rate_factor = 1.0 if schedule.bias_correction else first * more
    for group in optimizer.param_groups:
        group["lr"] = group["rate"] * share * rate_factor
        group["eps"] = EPS * more
        group["weight_decay"] = group["decay"] / rate_factor  # AdamW multiplies it by the rate


def rate_share(step: int, warm: int, falls: int, steps: int) -> float:
    """Share of the learning rate at `step` (from 0): up to 1 over `warm` steps, 1 until `falls`, to 0 at `steps`."""
    if step < warm:
        return (step + 1) / warm
    return 1.0 if step < falls else (steps - step) / (steps - falls)


def flat_after(schedule: Schedule, notes: dict) -> int | None:
    """The epoch after which the held-out loss of a stage that waits for it has stopped falling, None if it has not."""
    losses, first = notes.get("held_out_loss", []), max(1, schedule.epochs - _cooling(schedule))
    for epoch in range(first, len(losses) + 1):
        earlier = losses[: epoch - 1]
        if (earlier and losses[epoch - 1] > (1 - FLAT) * min(earlier)) or epoch == LONGEST * schedule.epochs:
            return epoch
    return None


def _cooling(schedule: Schedule) -> int:
    """Epochs over which the rate falls once the held-out loss is flat."""
    return max(1, round(COOLING * schedule.epochs))
