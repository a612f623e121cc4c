"""What each process of a small training does, and what it tells of it: for tests of several processes."""

import dataclasses
import json
import os
import socket
import sys
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from fastbert_core import train as train_module
from fastbert_core.encoder_folder import load_tokenizer, tiny
from fastbert_core.encoding import encode
from fastbert_core.model import FastBertModel
from fastbert_core.processes import processes
from fastbert_core.train import Samples, Workplace, train
from fastbert_core.trainings import TRAININGS, Schedule, Schedules
from tests.core.forked import SERVER

WORDS = {0: "bad awful poor", 1: "good great fine"}
ROWS, BATCH, EPOCHS = 13, 4, 2  # the last batch is of one row, so that one of two processes has none
SCHEDULE = Schedule(epochs=EPOCHS, rate=1e-3, batch_size=BATCH)


def spawn(count: int, folder: Path, *words: str) -> list[tuple[int, str]]:
    """Exit codes and what was said on stderr of `count` processes that call `main` with the words."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    children = []
    for rank in range(count):
        places = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "MASTER_PORT": port} if count > 1 else {}
        variables = {"MASTER_ADDR": "127.0.0.1"} | {name: str(value) for name, value in places.items()}
        child = SERVER.Process(target=_child, args=(variables, folder / f"said-{rank}", [str(folder), *words]))
        child.start()
        children.append(child)
    for child in children:
        child.join(300)
    said = [(folder / f"said-{rank}").read_text() for rank in range(count)]
    return [(child.exitcode, text) for child, text in zip(children, said, strict=True)]


def _on_cpus(barrier, *arguments, device_ids=None, **named):
    """A barrier as on a machine whose GPUs are fewer than the processes: gloo too fails there if a GPU is named."""
    if device_ids:
        raise RuntimeError(f"CUDA error: invalid device ordinal {device_ids}")
    return barrier(*arguments, **named)


def _child(variables: dict[str, str], said: Path, words: list[str]) -> None:
    os.environ.update(variables)
    torch.set_num_threads(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", buffering=1) for number in (1, 2))
    sys.argv = ["together", *words]
    main()


def main() -> None:
    """Train in a folder, stage by stage, with or without dropout; die after `kill_at` passes, if any."""
    folder, dropout, kill_at = Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
    together = processes("cpu")
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, ROWS)
    texts = [" ".join(rng.choice(WORDS[label].split(), rng.integers(1, 9))) for label in labels]
    with together.main_first():
        source = tiny(folder / "tiny", texts, layers=3, hidden=16).source
    samples = Samples(encode(load_tokenizer(source), texts), labels)
    torch.manual_seed(7)
    model = FastBertModel.from_backbone(source, ["bad", "good"])
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = dropout
    told = {"rank": together.rank, "rows": [], "log": [], "epochs": []}
    exits, adamw_step = train_module._Exits.__call__, torch.optim.AdamW.step

    def seen(self, rows, step):
        told["rows"].append((step, rows.tolist()))
        return exits(self, rows, step)

    def step(self, *arguments, **named):
        if len(told["rows"]) > kill_at > 0:
            os._exit(9)
        return adamw_step(self, *arguments, **named)

    train_module._Exits.__call__, torch.optim.AdamW.step = seen, step
    torch.distributed.barrier = partial(_on_cpus, torch.distributed.barrier)
    place = Workplace(folder / "work", 0, "fp32", told["log"].append, checkpoint_seconds=0.0, processes=together)
    place = dataclasses.replace(place, after_epoch=lambda stage, epoch, p: told["epochs"].append(epoch))
    (folder / "work").mkdir(exist_ok=True)
    together.wait()
    together.check_every = 3
    schedules = Schedules(SCHEDULE, SCHEDULE)
    stages = [stage for name in ("self-distillation", "alternating") for stage in TRAININGS[name](schedules)]
    told["notes"] = [train(model, stage, samples, samples, place) for stage in stages]
    save_file(model.state_dict(), folder / f"weights-{together.rank}.safetensors")
    (folder / f"told-{together.rank}.json").write_text(json.dumps(told))
