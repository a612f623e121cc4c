"""The lock on a folder: who waits says for whom, can be interrupted, and goes on when the holder is gone."""

import multiprocessing
import re
import signal
import time

import pytest

from fastbert_core.errors import InputError
from reproductions.lock import locked

FORK = multiprocessing.get_context("fork")


@pytest.fixture
def holder(tmp_path):
    """Another process that holds `tmp_path`."""
    held = FORK.Event()

    def hold():
        with locked(tmp_path, print):
            held.set()
            time.sleep(600)

    process = FORK.Process(target=hold)
    process.start()
    assert held.wait(60)
    yield process
    process.kill()
    process.join()


def test_who_waits_says_for_whom_and_goes_on_when_the_holder_is_killed(holder, tmp_path):
    said = []

    def log(line):
        said.append(line)
        holder.kill()

    with locked(tmp_path, log):
        holder.join()
    form = rf"{tmp_path}: held by pid {holder.pid} since \d{{4}}-\S+\+00:00 \(python -m reproductions.*\); waiting"
    assert len(said) == 1
    assert re.fullmatch(form, said[0], re.DOTALL)


@pytest.fixture
def interrupted():
    """KeyboardInterrupt, a moment from now."""

    def interrupt(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def test_waiting_can_be_interrupted_and_leaves_the_holder_alone(holder, interrupted, tmp_path):
    with pytest.raises(KeyboardInterrupt), locked(tmp_path, lambda line: None):
        raise AssertionError("the lock was held")
    assert holder.is_alive()
    assert (tmp_path / ".lock.json").is_file()


def test_who_holds_a_folder_finds_it_tidy_and_leaves_it_so(tmp_path):
    (tmp_path / "traces").mkdir()
    (tmp_path / "traces" / ".t.npz.abc.partial").write_text("half")
    (tmp_path / ".lock.json").write_text("a killed holder's")
    said = []
    for _ in range(2):
        with locked(tmp_path, said.append):
            assert not list((tmp_path / "traces").iterdir())
    assert not said
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == [".lock"]


def test_a_folder_that_is_not_there_is_not_made(tmp_path):
    with pytest.raises(InputError, match="nowhere: no such folder"), locked(tmp_path / "nowhere", print):
        pass
    assert not (tmp_path / "nowhere").exists()
