"""Files that are whole or not there, whatever happens to their writer."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fastbert_core.errors import InputError, RunError
from fastbert_core.files import atomic_files, atomic_write, naming, remove_partial, within, writing

ROOT = Path(__file__).parents[2]
DIES = {
    "one file": """
import os, signal, sys
from pathlib import Path
from fastbert_core.files import atomic_write
with atomic_write(Path(sys.argv[1])) as file:
    file.write(b"half of")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
""",
    "a library's files": """
import os, signal, sys
from pathlib import Path
from fastbert_core.files import atomic_files
path = Path(sys.argv[1])
with atomic_files(path.parent) as folder:
    (folder / path.name).write_bytes(b"half of")
    (folder / ".tmpOfItsOwn").write_bytes(b"a quarter")
    os.kill(os.getpid(), signal.SIGKILL)
""",
}


def breaks_off(folder):
    (folder / "weights").write_text("half of")
    (folder / ".tmpOfItsOwn").write_text("a quarter")
    raise ValueError("a bug of the library")


def names(folder):
    return [path.name for path in folder.iterdir()]


def test_a_file_takes_its_place_when_the_block_ends_well(tmp_path):
    path = tmp_path / "a" / "t.csv"
    with atomic_write(path) as file:
        file.write(b"first")
    with pytest.raises(TypeError), atomic_write(path) as file:
        file.write("no bytes")
    assert path.read_bytes() == b"first"
    assert names(path.parent) == ["t.csv"]


@pytest.mark.parametrize("writer", DIES)
def test_what_a_killed_writer_leaves_is_hidden_and_can_be_removed(tmp_path, writer):
    path = tmp_path / "traces" / "t.npz"
    with atomic_write(path) as file:
        file.write(b"whole")
    done = subprocess.run([sys.executable, "-c", DIES[writer], str(path)], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    assert path.read_bytes() == b"whole"
    assert sorted(name[0] for name in names(path.parent)) == [".", "t"]
    remove_partial(tmp_path)
    assert names(path.parent) == ["t.npz"]


def test_files_of_a_library_take_their_places_when_the_block_ends_well(tmp_path):
    model = tmp_path / "model"
    with atomic_files(model) as folder:
        (folder / "config.json").write_text("{}")
        (folder / "weights").write_text("first")
        (folder / "weights").chmod(0o600)
        assert names(model) == [folder.name]
    with pytest.raises(RunError, match="model: a bug of the library"), atomic_files(model) as folder:
        breaks_off(folder)
    assert sorted(names(model)) == ["config.json", "weights"]
    assert (model / "weights").read_text() == "first"
    modes = {path.stat().st_mode for path in model.iterdir()}
    assert len(modes) == 1  # who may read one file may read all


def test_a_full_disk_is_told_with_the_file(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("fastbert_core.files.os.fsync", full)
    with pytest.raises(OSError, match=r"No space left on device: '.*t\.csv'"), atomic_write(tmp_path / "t.csv"):
        pass
    assert not names(tmp_path)


def test_a_file_s_name_is_given_where_there_is_none():
    with pytest.raises(OSError, match="No space left on device: 'model'"), naming(Path("model")):
        raise OSError(28, "No space left on device")
    with pytest.raises(OSError, match="No space left on device: 'own'"), naming(Path("model")):
        raise OSError(28, "No space left on device", "own")
    with pytest.raises(TypeError, match=r"^a bug$"), naming(Path("model")):  # nobody's disk is to blame
        raise TypeError("a bug")


def test_errors_of_libraries_are_told_in_one_line_with_the_file(tmp_path):
    with pytest.raises(RunError, match=r"model: No space left on device \(os error 28\)$"), writing(Path("model")):
        raise Exception("No space left on device (os error 28)\nand more")
    with pytest.raises(OSError, match="No space left on device: 'model'"), writing(Path("model")):
        raise OSError(28, "No space left on device")
    with pytest.raises(FileNotFoundError, match="nowhere"), writing(Path("model")):
        os.stat(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "names", [("../x",), ("a", "../../x"), ("/etc/passwd",), ("a\0b",), ("out", "x"), ("a", "..", "..")]
)
def test_no_name_and_no_link_leads_out_of_a_folder(tmp_path, names):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "out").symlink_to(tmp_path)
    with pytest.raises(InputError, match=r"found a way out of .*folder, expected a place within"):
        within(folder, *names)


def test_a_place_within_is_given_as_it_was_named(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder")
    (tmp_path / "folder" / "in").symlink_to(tmp_path / "folder" / "deep")
    for names in (("x.csv",), ("a", "b.npz"), ("in", "x"), ("a", "..", "x"), ("..x",), ("new\nline",)):
        assert within(tmp_path / "link", *names) == Path(tmp_path / "link", *names)
