"""Runs of the smoke profile in processes of their own, and what they leave in a folder that is theirs alone."""

import csv
import io
import multiprocessing
import os
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from reproductions import cli

ROOT = Path(__file__).parents[2]
FORK = multiprocessing.get_context("fork")
TASK, TRAIN_ROWS = "book-review", 96
PLACE = ("--profile", "smoke", "--results-dir", "results")
RUN = ("run", TASK, "--train-rows", str(TRAIN_ROWS), *PLACE)
MEASURE = ("measure", *PLACE)
MAY_DIFFER = ("date", "wall_seconds", "command", "resumed_at")  # columns of runs.csv


@dataclass(frozen=True)
class World:
    """A folder with results/ and runs/ (FASTBERT_RUNS), in which commands run; so their messages name no other."""

    folder: Path
    results_name: str = "results"

    @property
    def results(self) -> Path:
        """Where the smoke profile's results land."""
        return self.folder / self.results_name / "smoke"

    @property
    def runs(self) -> Path:
        """Where checkpoints and models live."""
        return self.folder / "runs"

    def start(self, command: tuple[str, ...] = RUN) -> "Attempt":
        """Begin a command in a process of its own."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return Attempt(self.folder, tuple(self.results_name if word == "results" else word for word in command))

    def finish(self, command: tuple[str, ...] = RUN) -> "Attempt":
        """Begin a command and wait for its end."""
        attempt = self.start(command)
        attempt.wait()
        return attempt

    def as_a_user(self) -> None:
        """The run, uninterrupted, started as a user starts it. Raises CalledProcessError if it fails."""
        self.folder.mkdir(parents=True)
        known = {name: value for name, value in os.environ.items() if not name.startswith("FASTBERT_")}
        variables = known | {"FASTBERT_RUNS": "runs", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "reproductions", *RUN]
        subprocess.run(command, cwd=self.folder, env=variables, check=True, stdout=subprocess.DEVNULL)

    def differences(self, reference: "World") -> list[str]:
        """Files of the results, and trained models, that are not the reference's; what may differ left aside."""
        mine, theirs = self._contents(), reference._contents()
        return sorted(name for name in mine.keys() | theirs.keys() if mine.get(name) != theirs.get(name))

    def _contents(self) -> dict[str, bytes | list]:
        files = [path for path in self.results.rglob("*") if path.is_file() and path.name != ".lock"]
        contents = {path.relative_to(self.results).as_posix(): path.read_bytes() for path in files}
        for model in self.runs.glob("*/model/*.safetensors"):
            contents[model.relative_to(self.runs).as_posix()] = model.read_bytes()
        if "runs.csv" in contents:
            rows = csv.DictReader(io.StringIO(contents["runs.csv"].decode()))
            contents["runs.csv"] = [{key: row[key] for key in row if key not in MAY_DIFFER} for row in rows]
        return contents


class Attempt:
    """A command in a process of its own.

    The process is forked from this one, which has loaded all libraries, so that it starts at once: the command, its
    files and its death are those of `python -m reproductions`. This process must not compute anything with torch, whose
    threads do not outlive a fork.
    """

    def __init__(self, folder: Path, command: tuple[str, ...]) -> None:
        self.command, self._ready = command, FORK.Event()
        self._log = folder.parent / f"{folder.name}-{time.monotonic_ns()}.log"  # beside it: it may be a full disk
        self.process = FORK.Process(target=_main, args=(folder, command, self._log, self._ready), daemon=True)
        self.process.start()
        self._ready.wait()
        self._before = self._clock()

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self.process.is_alive()

    @property
    def seconds(self) -> float:
        """Seconds of processor time since it began: unlike the clock's, they do not run while it waits for a core."""
        return self._clock() - self._before

    def _clock(self) -> float:
        return time.clock_gettime(~self.process.pid << 3 | 2)  # Linux's name for the clock of a process

    def stop(self) -> bool:
        """Stop the process where it is, to be looked at; False if it has ended."""
        if not self.running:
            return False
        os.kill(self.process.pid, signal.SIGSTOP)
        return os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT).si_code == os.CLD_STOPPED

    def send(self, number: int) -> None:
        """Send a signal, and let the process go on if it was stopped."""
        os.kill(self.process.pid, number)
        os.kill(self.process.pid, signal.SIGCONT)

    def wait(self) -> int:
        """Wait for its end, and return the exit code; -9 if it was killed."""
        self.process.join()
        return self.process.exitcode

    def says(self, text: str) -> None:
        """Wait until `text` stands in its output, or it ends."""
        while self.running and text not in self.output:
            time.sleep(0.01)

    @property
    def output(self) -> str:
        """Standard output so far."""
        return self._log.read_text(encoding="utf-8")

    @property
    def message(self) -> str:
        """Standard error so far: one line where a command fails as it should."""
        return self._log.with_suffix(".err").read_text(encoding="utf-8").strip()

    def __str__(self) -> str:
        return shlex.join(["python", "-m", "reproductions", *self.command])


def _main(folder: Path, command: tuple[str, ...], log: Path, ready: "multiprocessing.synchronize.Event") -> None:
    for number, path in ((1, log), (2, log.with_suffix(".err"))):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT, 0o644), number)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", buffering=1, encoding="utf-8") for number in (1, 2))
    for name in [name for name in os.environ if name.startswith("FASTBERT_")]:
        del os.environ[name]
    os.environ["FASTBERT_RUNS"] = "runs"
    os.chdir(folder)
    torch.set_num_threads(1)
    sys.argv = ["reproductions", *command]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    ready.set()
    sys.exit(cli.main(command))
