"""What a result must carry to be believed: the code, the machine and the time a run took."""

import json
import os
import platform
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import torch

from fastbert_core.errors import InputError
from fastbert_core.files import write_whole
from fastbert_core.precision import instruction_set

LIBRARIES = ("torch", "transformers", "tokenizers", "datasets", "numpy")
# Of whoever worked on a run or a stage, what is kept of all of them.
SHARED = ("device", "arithmetic")
# What decides a measurement. Results, figures and pages change with every run, and a user's own files lie about.
CODE = ("fastbert_core", "reproductions", "bench", "tests", "pyproject.toml", "constraints.txt")


class RunRecord:
    """The diary of a run, or of a first stage that runs share, kept in its folder over kills and resumes.

    It holds when, where and from which code it started, which other commits, devices and arithmetics went on with it,
    and the seconds it has taken.
    """

    def __init__(self, folder: Path, device: torch.device, processes: int = 1) -> None:
        """Open the record in `folder`, or begin one; so many `processes` work on the run together."""
        self.path = folder / "run.json"
        self._code, self._machine = git_state(), machine(device, processes)
        self._seen = time.monotonic()
        if self.path.is_file():
            try:
                self.entries = json.loads(self.path.read_text(encoding="utf-8"))
                _ = [self.entries[name] for name in ("git_sha", "resumed_at", *SHARED)]
            except (ValueError, KeyError, TypeError) as error:
                raise InputError(
                    f"{self.path}: no record of a run ({error}); delete {folder} to start afresh"
                ) from error
        else:
            date = datetime.now(UTC).isoformat(timespec="seconds")
            begun = {"resumed_at": [], "date": date, "command": command_line(), "wall_seconds": 0.0}
            self.entries = self._code | self._machine | begun
            self._write()

    def save(self) -> None:
        """Note who has worked since the last call, and for how long; to be called before anything of it is kept.

        So a process that finds everything done leaves no mark.
        """
        if self._code["git_sha"] not in (self.entries["git_sha"], *self.entries["resumed_at"]):
            self.entries["resumed_at"].append(self._code["git_sha"])
        if self._code["git_dirty"] == "yes":
            self.entries["git_dirty"] = "yes"
        for name in SHARED:
            self.entries[name] = _joined(self.entries[name], self._machine[name])
        now = time.monotonic()
        self.entries["wall_seconds"] += now - self._seen
        self._seen = now
        self._write()

    def skip(self) -> None:
        """Leave the seconds since the last call out: another record has them."""
        self._seen = time.monotonic()

    def _write(self) -> None:
        write_whole(self.path, json.dumps(self.entries, indent=1))

    def columns(self, first_stage: "RunRecord", precision: str, stages: Sequence[str]) -> dict:
        """The run as columns of runs.csv, with the code, the devices and the seconds of its first stage.

        `stages` names the first stage and, where anything was trained after it, those that this record is of.
        """
        own, first = dict(self.entries), first_stage.entries
        arithmetics = dict.fromkeys(stages, own.pop("arithmetic")) | {stages[0]: first["arithmetic"]}
        others = dict.fromkeys([first["git_sha"], *first["resumed_at"], *own["resumed_at"]])
        others.pop(own["git_sha"], None)
        dirty = "yes" if "yes" in (own["git_dirty"], first["git_dirty"]) else own["git_dirty"]
        return own | {
            "git_dirty": dirty,
            "resumed_at": ";".join(filter(None, others)) or None,
            "device": _joined(first["device"], own["device"]),
            "stages": "; ".join(
                f"{stage}: {precision}, {found.replace(';', ' and ')}" for stage, found in arithmetics.items()
            ),
            "wall_seconds": own["wall_seconds"] + first["wall_seconds"],
        }


def _joined(*texts: str) -> str:
    """The different ones of all, joined by ; as each of them may be already."""
    return ";".join(dict.fromkeys(";".join(texts).split(";")))


def git_state() -> dict[str, str | None]:
    """Commit of the code and whether files of it differ ("yes" or "no"); None each outside a checkout of the suite."""
    root = Path(__file__).resolve().parents[1]

    def git(*arguments: str) -> str | None:
        command = ["git", "-C", str(root), *arguments]
        try:
            return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
        except (OSError, subprocess.CalledProcessError):
            return None

    top, _, sha = (git("rev-parse", "--show-toplevel", "HEAD") or "").rpartition("\n")
    if not sha or Path(top).resolve() != root:  # installed below a repository of something else, perhaps
        return {"git_sha": None, "git_dirty": None}
    return {"git_sha": sha, "git_dirty": "yes" if git("status", "--porcelain", "--", *CODE) else "no"}


def command_line() -> str:
    """The command as the user typed it, without this machine's folders."""
    words = [word.partition("=") if word.startswith("--") else ("", "", word) for word in sys.argv[1:]]
    named = [option + equals + (Path(value).name if os.path.isabs(value) else value) for option, equals, value in words]
    return shlex.join(["python", "-m", "reproductions", *named])


def machine(device: torch.device, processes: int = 1) -> dict:
    """Device, CPU threads and versions, as columns of runs.csv; `arithmetic` is what decides a sum's last bits."""
    versions = {"python": platform.python_version()} | {name: version(name) for name in LIBRARIES}
    threads = torch.get_num_threads()
    together = f", {processes} processes" if processes > 1 else ""
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else f"cpu ({_processor()})",
        "arithmetic": f"{instruction_set(device)}, {threads} thread{'s' * (threads > 1)}{together}",
        "threads": threads,
        "versions": json.dumps(versions, sort_keys=True),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
