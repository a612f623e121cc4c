"""The smoke profile by two processes, as `accelerate launch` starts them: what one process makes, within rounding."""

import numpy as np
import pytest

from fastbert_core.checkpoint import load_checkpoint
from reproductions.tables import read_table
from tests.factories import load_traces
from tests.scale.conftest import ONE, command

# Without dropout, whose masks are each process's own.
SCRIPT = """
import sys, torch
dropout = torch.nn.Dropout.__init__
torch.nn.Dropout.__init__ = lambda self, p=0.5, inplace=False: dropout(self, 0.0, inplace)
from reproductions.cli import main
sys.exit(main(sys.argv[1:]))
"""
LAUNCH = ("-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1")
LAUNCH += ("--mixed_precision", "no", "--dynamo_backend", "no")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Results and checkpoints of one process, and of two."""
    folder = tmp_path_factory.mktemp("together")
    (folder / "script.py").write_text(SCRIPT)
    for count, launch in ((1, ()), (2, LAUNCH)):
        (folder / f"runs-{count}").mkdir()
        words = (*launch, folder / "script.py", "run", *ONE, "--results-dir", folder / f"results-{count}")
        done = command(*words, runs=folder / f"runs-{count}")
        assert done.code == 0, done.err
        assert done.out.count("self-distillation: epoch 1 of") == 1  # the main process alone says anything
    return folder


def result(runs, stage):
    """Weights and notes of a stage."""
    return load_checkpoint(next(runs.glob(f"*/{stage}.safetensors")))


def test_losses_and_weights_are_those_of_one_process_within_rounding(made):
    one, two = (read_table(made / f"results-{count}" / "smoke", "runs") for count in (1, 2))
    assert two["run_id"].tolist() == one["run_id"].tolist()
    assert one["stages"].str.contains("process").sum() == 0
    assert two["stages"].str.contains("2 processes").all()
    (expected, notes), (found, noted) = (result(made / f"runs-{count}", "fine-tuning") for count in (1, 2))
    assert noted.pop("best_epoch") == notes.pop("best_epoch")
    for name in notes:
        assert noted[name] == pytest.approx(notes[name], rel=1e-5), name
    assert max((expected[name] - found[name]).abs().max().item() for name in expected) < 3e-5
    # The smoke profile's students learn at 1e-2, which doubles what rounding does from step to step: an epoch is near.
    (_, notes), (_, noted) = (result(made / f"runs-{count}", "self-distillation") for count in (1, 2))
    for name in ("train_loss", "held_out_loss"):
        assert noted[name][0] == pytest.approx(notes[name][0], rel=1e-4), name


def test_the_trace_is_gathered_in_order(made):
    """Of the teacher, whose weights agree: what it says of every test row, in the rows' order."""
    one, two = (load_traces(made / f"results-{count}" / "smoke", split="test")[0] for count in (1, 2))
    assert np.array_equal(one.labels, two.labels)
    assert np.array_equal(one.tokens, two.tokens)
    assert np.abs(one.probabilities[:, -1] - two.probabilities[:, -1]).max() < 1e-4
