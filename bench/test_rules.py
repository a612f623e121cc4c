"""What exit rules cost the engine: each in turns with entropy, with all texts leaving where entropy lets them."""

from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest

from bench.clock import Work, in_turns
from bench.measure import about
from fastbert_core.exit_rules import RULES, ExitRule

BATCH = 32
SHARE = 0.1  # of a turn: with two dozen works a whole round of turns must be short beside the machine's drift
REDUCTION = 2
BASE = "entropy"


@dataclass(frozen=True)
class AtItsExits(ExitRule):
    """A rule's own work, and then what `base` scores, so that its cost is told from that of where texts leave."""

    rule: ExitRule
    base: ExitRule

    @property
    def looks_back(self) -> bool:
        """As the rule does."""
        return self.rule.looks_back

    @property
    def unnormalised(self) -> bool:
        """As the rule asks for."""
        return self.rule.unnormalised

    def score(self, p: np.ndarray) -> np.ndarray:
        """The base's, after the rule's own."""
        self.rule.score(p)
        return self.base.score(p / p.sum(axis=-1, keepdims=True) if self.unnormalised else p)

    def answer(self, p: np.ndarray) -> np.ndarray:
        """The rule's."""
        return self.rule.answer(p)


@pytest.mark.benchmark(group="rules")
def test_every_rule_at_the_exits_of_entropy(benchmark, engine, whole, singles):
    dev, speed, kind = whole.dev, singles.speed(REDUCTION), singles.trace.kind
    rules = {name: kind.fit(rule, dev.probabilities, dev.labels) for name, rule in kind.rules().items()}
    at_exits = {name: AtItsExits(rule, RULES[BASE]) for name, rule in rules.items() if name != BASE}
    works = {
        name: Work(partial(engine.predict, singles.encoded, speed, batch_size=BATCH, rule=rule), SHARE)
        for name, rule in {BASE: None, **at_exits}.items()
    }
    if not benchmark.disabled:
        works[BASE].do()
    benchmark.pedantic(in_turns, (engine.model, list(works.values())), rounds=1)
    exits = {name: work.answer.exit_layers for name, work in works.items()}
    for name, found in exits.items():  # energy's e^z, made probabilities again, differ in their last bits
        assert np.count_nonzero(found != exits[BASE]) <= max(1, len(found) // 1000), name
    of_rules = [{"rule": name, "seconds": work.seconds} for name, work in works.items()]
    depth = {"speed": speed, "mean_layers": float(exits[BASE].mean())}
    benchmark.extra_info.update(about(engine, singles, BATCH) | depth, rules=of_rules)
