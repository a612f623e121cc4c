"""The smoke profile by two processes, as `accelerate launch` starts them: what one process makes, within rounding."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file

from reproductions.store import load_traces
from reproductions.tables import read_table
from tests.scale.conftest import command

# Without dropout, whose masks are each process's own; and every process notes the rows of its steps.
SCRIPT = """
import json, os, sys, torch
from fastbert_core import train
dropout, exits = torch.nn.Dropout.__init__, train._Exits.__call__
torch.nn.Dropout.__init__ = lambda self, p=0.5, inplace=False: dropout(self, 0.0, inplace)
noted = open(os.path.join(os.environ["FASTBERT_RUNS"], "rows-" + os.environ.get("RANK", "0")), "w")
def seen(self, rows, step):
    print(json.dumps([self._stage.name, step, rows.tolist()]), file=noted)
    return exits(self, rows, step)
train._Exits.__call__ = seen
from reproductions.cli import main
sys.exit(main(sys.argv[1:]))
"""
RUN = ("run", "dbpedia", "--profile", "smoke", "--precision", "fp32", "--training", "self-distillation")
LAUNCH = ("-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1")
LAUNCH += ("--mixed_precision", "no", "--dynamo_backend", "no")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Results and checkpoints of one process, and of two."""
    folder = tmp_path_factory.mktemp("together")
    (folder / "script.py").write_text(SCRIPT)
    for count, launch in ((1, ()), (2, LAUNCH)):
        (folder / f"runs-{count}").mkdir()
        words = (*launch, folder / "script.py", *RUN, "--results-dir", folder / f"results-{count}")
        done = command(*words, runs=folder / f"runs-{count}")
        assert done.code == 0, done.err
        assert done.out.count("self-distillation: epoch 1 of") == 1  # the main process alone says anything
    return folder


def noted(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_epochs_have_the_order_of_one_process_batch_by_batch(made):
    whole = noted(made / "runs-1" / "rows-0")
    assert len(whole) == 8 * 40  # two stages of 4 epochs of 1,280 rows in batches of 32
    shares = [noted(made / "runs-2" / f"rows-{rank}") for rank in (0, 1)]
    for stage in ("fine-tuning", "self-distillation"):
        # The first two of a process are tries of which parameters a step reaches.
        mine, others = ([entry for entry in share if entry[0] == stage][2:] for share in shares)
        expected = [entry for entry in whole if entry[0] == stage]
        for one, first, second in zip(expected, mine, others, strict=True):
            assert one[1] == first[1] == second[1]
            assert one[2] == [row for pair in zip(first[2], second[2], strict=True) for row in pair]


def test_losses_weights_and_tables_are_those_of_one_process_within_rounding(made):
    one, two = (read_table(made / f"results-{count}" / "smoke", "runs") for count in (1, 2))
    assert two["run_id"].tolist() == one["run_id"].tolist()
    assert two["stages"].str.contains("2 processes").all()
    assert two["held_out_loss"].tolist() == pytest.approx(one["held_out_loss"].tolist(), rel=1e-3)
    traces = [load_traces(made / f"results-{count}" / "smoke", split="test")[0] for count in (1, 2)]
    assert np.array_equal(traces[0].labels, traces[1].labels)
    assert np.array_equal(traces[0].tokens, traces[1].tokens)
    assert np.abs(traces[0].probabilities - traces[1].probabilities).max() < 2e-3
    run_id = one["run_id"][0]
    expected, found = (load_file(made / f"runs-{count}" / run_id / "model" / "model.safetensors") for count in (1, 2))
    assert expected.keys() == found.keys()
    apart = max(np.abs(expected[name] - found[name]).max() for name in expected)
    assert apart < 1e-3, apart
