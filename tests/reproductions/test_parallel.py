import os
import signal
import subprocess
import sys
import time

import pytest

from fastbert_core.errors import RunError
from reproductions.parallel import FEW, each


def told(number, word):
    return number, word, os.getpid()


@pytest.mark.parametrize("count", [0, 1, FEW - 1, FEW, 3 * FEW])
def test_pieces_come_back_in_their_order_and_many_are_done_elsewhere(count):
    pieces = [(at, str(at)) for at in range(count)]
    found = each(told, pieces)
    assert [piece for *piece, _ in found] == [[*piece] for piece in pieces]
    if count < FEW or len(os.sched_getaffinity(0)) == 1:
        assert {process for *_, process in found} <= {os.getpid()}
    else:
        assert os.getpid() not in {process for *_, process in found}


def parts(number):
    return each(told, [(number, str(part)) for part in range(FEW)])


@pytest.mark.skipif(len(os.sched_getaffinity(0)) == 1, reason="one core has no pool")
def test_large_pieces_are_done_elsewhere_however_few_and_each_by_one_process():
    found = each(parts, [(0,), (1,)], few=2)
    assert [[word for _, word, _ in of] for of in found] == 2 * [[str(part) for part in range(FEW)]]
    processes = [{process for *_, process in of} for of in found]
    assert os.getpid() not in processes[0] | processes[1]
    assert [len(of) for of in processes] == [1, 1]


def test_what_a_piece_raises_is_raised():
    with pytest.raises(ZeroDivisionError):
        each(divmod, [(1, 1)] * FEW + [(1, 0)])


@pytest.mark.skipif(len(os.sched_getaffinity(0)) == 1, reason="one core has no pool")
def test_a_process_that_is_killed_is_told_and_nothing_hangs():
    with pytest.raises(RunError, match="killed before its piece was done"):
        each(os._exit, [(1,)] * FEW)


KILLED = """
from reproductions.parallel import FEW, each
from tests.reproductions.test_parallel import asleep
each(asleep, [(1000,)] * FEW)
"""


def asleep(seconds):
    print(os.getpid(), flush=True)
    time.sleep(seconds)


@pytest.mark.skipif(len(os.sched_getaffinity(0)) == 1, reason="one core has no pool")
def test_no_process_outlives_the_main_one():
    place = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    words = [sys.executable, "-c", KILLED]
    with subprocess.Popen(words, env=os.environ | place, stdout=subprocess.PIPE, text=True) as main:
        process = int(main.stdout.readline())
        main.send_signal(signal.SIGKILL)
    end = time.monotonic() + 30
    while alive(process) and time.monotonic() < end:
        time.sleep(0.1)
    assert not alive(process)


def alive(process):
    """Whether it runs; one that has ended may still wait for somebody to ask how."""
    try:
        with open(f"/proc/{process}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
