"""Several processes that train one model, as `accelerate launch` starts them; alone, all of this is nothing.

Each process runs its share of every batch. The main one locks, logs and writes; the others read what it wrote, so
their folders are the same.
"""

import contextlib
import logging
import os
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fastbert_core.errors import InputError, RunError, reason

# The main process may wait for a lock, or fit the baseline, while the others wait for it.
PATIENCE = timedelta(days=1)
MOMENT = 3.0  # seconds


class Alone:
    """The only process: everything is its own, and nobody is waited for.

    check_every: training steps between two looks at the loss, each of which waits for the device
    """

    rank, count, check_every = 0, 1, 1

    @property
    def main(self) -> bool:
        """Whether this process is the one that locks, logs and writes."""
        return self.rank == 0

    def share(self, items: Sequence) -> Sequence:
        """What is this process's own of the rows of a batch, or of batches."""
        return items

    def weight(self, rows: int) -> float:
        """What a batch's mean over this process's rows counts for, where gradients are averaged over processes."""
        return 1.0

    def seed(self, seed: int, step: int) -> None:
        """Random numbers of dropout for a training step. Alone, they go on from where the last step left them."""

    def prepared(self, module: nn.Module, *first: Any) -> nn.Module:
        """A module whose gradients are the mean over the processes; with `first` it can be called, to try it."""
        return module

    def means(self, values: Sequence[Tensor]) -> list[float]:
        """Scalars, each the mean over the processes."""
        return [value.item() for value in values]

    def whole(self, part: np.ndarray) -> np.ndarray:
        """An array of which each process has computed some rows, and left the others 0."""
        return part

    def told(self, value: Any = None) -> Any:
        """What the main process says here."""
        return value

    def wait(self) -> None:
        """Wait until every process is here."""

    @contextlib.contextmanager
    def main_first(self) -> Iterator[None]:
        """The main process goes through the block, then the others, which find what it has fetched or begun."""
        if not self.main:
            self.wait()
        yield
        if self.main:
            self.wait()

    def check_shared(self, folder: Path) -> None:
        """Raise InputError if the main process's folder, which is there, is not there for the others too."""

    def failed(self, error: Exception) -> BaseException:
        """What every process raises for an error that all of them see, so that it is told once."""
        return error


ALONE = Alone()


class Several(Alone):
    """One of several, by accelerate: a device and a copy of the model each."""

    check_every = 50

    def __init__(self, cpu: bool) -> None:
        from accelerate import Accelerator
        from accelerate.utils import DistributedType, InitProcessGroupKwargs

        # The precision is the suite's own option, whatever `accelerate config` was told.
        handlers = [InitProcessGroupKwargs(timeout=PATIENCE)]
        self._accelerator = accelerator = Accelerator(cpu=cpu, mixed_precision="no", kwargs_handlers=handlers)
        if accelerator.distributed_type not in (DistributedType.MULTI_CPU, DistributedType.MULTI_GPU):
            found = accelerator.distributed_type.value
            raise InputError(f"accelerate: found {found}, expected several CPUs or GPUs with a copy of the model each")
        self.rank, self.count = accelerator.process_index, accelerator.num_processes

    def share(self, items: Sequence) -> Sequence:
        """Every count-th one, from the rank on."""
        return items[self.rank :: self.count]

    def weight(self, rows: int) -> float:
        """The share of a batch's `rows` that are this process's, times the processes that the mean is over."""
        return len(range(self.rank, rows, self.count)) * self.count / rows

    def seed(self, seed: int, step: int) -> None:
        """A seed of (seed, rank, step): no checkpoint need hold the state of every process."""
        torch.manual_seed(int(np.random.SeedSequence([seed, self.rank, step]).generate_state(1, np.uint64)[0] >> 1))

    def prepared(self, module: nn.Module, *first: Any) -> nn.Module:
        """The module in DistributedDataParallel, which gives all processes the main one's parameters.

        The argument that comes last is a step's number: an even one may leave other parameters alone than an odd one.
        """
        from accelerate.utils import DistributedDataParallelKwargs

        learning = [parameter for parameter in module.parameters() if parameter.requires_grad]
        reached = [torch.autograd.grad(module(*first, step), learning, allow_unused=True) for step in (0, 1)]
        some = any(gradient is None for gradients in reached for gradient in gradients)
        self._accelerator.free_memory()  # of the stage before
        self._accelerator.ddp_handler = DistributedDataParallelKwargs(find_unused_parameters=some)
        with _talking(self):
            return self._accelerator.prepare(module)

    def means(self, values: Sequence[Tensor]) -> list[float]:
        """By one reduction."""
        with _talking(self):
            return self._accelerator.reduce(torch.stack(list(values)).double(), "mean").tolist()

    def whole(self, part: np.ndarray) -> np.ndarray:
        """The sum over the processes: exact, since each row is 0 in all but one."""
        with _talking(self):
            mine = torch.from_numpy(part).to(self._accelerator.device)
            return self._accelerator.reduce(mine, "sum").cpu().numpy()

    def told(self, value: Any = None) -> Any:
        """Broadcast, pickled."""
        from accelerate.utils import broadcast_object_list

        with _talking(self):
            return broadcast_object_list([value])[0]

    def wait(self) -> None:
        """A barrier; of CPUs not accelerate's, which asks for the GPU of the process's number, where any GPU is."""
        with _talking(self):
            if self._accelerator.device.type == "cpu":
                torch.distributed.barrier()
            else:
                self._accelerator.wait_for_everyone()

    def check_shared(self, folder: Path) -> None:
        """Every process looks for the folder by itself."""
        from accelerate.utils import gather_object

        path = self.told(str(folder))
        with _talking(self):
            seen = gather_object([os.path.isdir(path)])
        without = [rank for rank, sees in enumerate(seen) if not sees]
        if without:
            found = f"{path}: not found by process {without[0]} of {self.count}"
            raise self.failed(InputError(f"{found}, expected FASTBERT_RUNS to name a folder that all machines share"))

    def failed(self, error: Exception) -> BaseException:
        """The error in the main process; the others end without a word, once it has had time to tell of it."""
        if self.main:
            return error
        time.sleep(MOMENT)  # what launched them ends all when the first of them ends
        return SystemExit(2 if isinstance(error, InputError) else 1)


@contextlib.contextmanager
def _talking(together: Several) -> Iterator[None]:
    """Within, processes wait for each other; the main one tells of one that has ended, and that one why."""
    try:
        yield
    except RuntimeError as error:  # gloo's and NCCL's share no other class
        if together.main:
            ended = f"another of the {together.count} processes has ended ({reason(error)}); it says why"
            raise RunError(ended) from None
        time.sleep(MOMENT)  # where all have lost one, the main one's word is enough
        raise RunError(f"process {together.rank} of {together.count}: {reason(error)}") from None


@cache
def processes(device_type: str) -> Alone:
    """This process among those that run the same command, on devices of one type (`cpu` or `cuda`).

    The others print nothing but errors. Raises InputError if there are several and accelerate is not installed.
    """
    if int(os.environ.get("WORLD_SIZE") or 1) < 2:
        return ALONE
    try:
        together = Several(cpu=device_type == "cpu")
    except ImportError:
        remedy = "pip install 'fastbert-core[cluster]' brings it"
        raise InputError(f"accelerate: not installed, expected it where several processes run; {remedy}") from None
    if not together.main:
        logging.disable(logging.WARNING)
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - for as long as the process runs
    return together
