"""README.md of a run's model: what it learnt, from what, and what its own trace of the test set comes to."""

from fastbert_core.metrics import at_threshold, dense
from fastbert_core.model_card import ANSWERS
from fastbert_core.trace import Trace
from reproductions.blocks import markdown
from reproductions.plan import Run
from reproductions.speeds import PAPER_SPEEDS


def run_card(run: Run, test: Trace) -> str:
    """The card of the model that a run has trained, in the hub's form; it names no place on this machine.

    test: its trace of the test set
    """
    s, task, rule = run.settings, run.data.task, test.kind.base
    found = {"all layers": dense(test)}
    if test.has_exits:
        found |= {f"{rule} below {speed}": at_threshold(test, speed, rule) for speed in PAPER_SPEEDS}
    rows = [
        {
            "a text leaves at": name,
            "accuracy": f"{outcome.accuracy:.2f}",
            "mean layers": f"{outcome.mean_layers:.2f}",
            "speedup": f"{outcome.speedup:.2f}x",
        }
        for name, outcome in found.items()
    ]
    return f"""---
library_name: fastbert-core
pipeline_tag: {ANSWERS.get(task.type, ("", "text-classification"))[1]}
tags: [early-exit, fastbert]
---

# {task.name}: {s.training} on {run.backbone.name}

| | |
| --- | --- |
| run | {run.run_id}, profile {s.profile}, seed {s.seed}, trained in {s.precision} |
| task | {task.name}, {task.type} |
| encoder | {run.backbone.name}, SHA-256 `{run.backbone.sha256}` |
| data | {len(run.train)} training rows, SHA-256 of all splits `{run.data.sha256}` |

On {len(test)} test rows; speedup is of the paper's FLOPs, against all layers of this model without exits:

{markdown(rows)}

`fastbert_core.FastBertModel.from_pretrained` loads it.
"""
