"""A budget of layers, a text or a second, that is held over a stream that drifts, and an alarm when a stream drifts.

Both know nothing but scores of exit rules and executed layers, so that an engine and a trace use them alike.
"""

import math
import time
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable

import numpy as np

from fastbert_core.bounds import positive
from fastbert_core.errors import InputError
from fastbert_core.exit_rules import exit_layers
from fastbert_core.sweep import mean_costs

GAIN = 0.01  # layers that are asked more or less, for each layer that a sample saved or overspent
BETS = (-2.0, -1.0, 0.0, 1.0, 2.0)  # on which side of calibration a stream lies, and how surely
JUMP = 1e-3  # share of the capital that is spread over all bets again at each sample, since streams change late too


class Budget:
    """Holds the mean of executed layers at a budget, whatever comes: adaptive conformal inference on the threshold.

    Feed-forward: calibration rows say which threshold spends how many layers on average. Feedback: the layers that are
    asked of them start at the budget, and move by `gain` times what each sample saved or overspent.

    The error is bounded for every stream, adversarial ones too. Where L layers or more are asked none leaves early,
    where 1 or fewer all leave at once; so what is asked stays within one batch's step of [1, L], and what it has moved
    is `gain` times the sum of all savings (Gibbs and Candès 2021, proposition 4.1, with layers in the place of misses).
    """

    def __init__(self, thresholds: np.ndarray, spent: np.ndarray, budget: float, gain: float = GAIN) -> None:
        """Feed-forward from what thresholds come to on calibration rows.

        thresholds: ascending, the first of them one at which no row leaves early; spent: mean layers at each
        budget: mean layers
        gain: times the samples of a batch it should stay below 1, or what is asked swings; a smaller one holds the
            threshold steadier and takes longer to follow

        Raises InputError for a budget that is not between 1 and all layers, and a gain of 0 or less.
        """
        layers = round(float(spent[0]))
        if not isinstance(budget, int | float | np.number) or not 1 <= budget <= layers:
            raise InputError(f"budget: found {budget!r}, expected mean layers from 1 to {layers}")
        self.budget, self.gain, self.layers = float(budget), positive("gain", gain, "a number above 0"), layers
        self.asked, self.samples, self.largest = self.budget, 0, 1
        self._thresholds, self._spent = np.asarray(thresholds), np.asarray(spent)  # falling

    @classmethod
    def from_scores(cls, scores: np.ndarray, budget: float, gain: float = GAIN) -> "Budget":
        """Feed-forward from the scores of a rule on calibration rows, [rows, layers]."""
        return cls(*mean_costs(scores, np.arange(1, scores.shape[1] + 1)), budget, gain)

    @property
    def threshold(self) -> float:
        """Of the next samples: the slowest that spends what is asked; infinite, where all leave at layer 1."""
        at = np.searchsorted(-self._spent, -self.asked)
        return float(self._thresholds[at]) if self.asked > 1 and at < len(self._thresholds) else np.inf

    def begin(self, samples: int) -> None:
        """Take note of a batch that has come: so many samples, which will leave by `threshold`."""

    def spend(self, executed: np.ndarray) -> None:
        """Take note of a batch that left by `threshold`: the layers that its samples executed, int [samples]."""
        self.asked += self.gain * float((self.budget - executed).sum())
        self.samples, self.largest = self.samples + len(executed), max(self.largest, len(executed))

    @property
    def bound(self) -> float:
        """How far the mean of all executed layers can be from the budget by now, at most; infinite before the first."""
        below, above = self.budget - 1, self.layers - self.budget
        most = max(below / self.gain + self.largest * above, above / self.gain + self.largest * below)
        return most / self.samples if self.samples else np.inf


class Pace(Budget):
    """Holds the layers of a second at a budget, over a stream whose pace drifts too.

    A batch of n samples that came within s seconds is allowed s / n times the layers of a second for each sample, but
    at least 1 and at most all. Feed-forward follows the allowance, feedback the sum of what samples saved or overspent
    of theirs: none leaves early where the allowance and the feedback come to all L layers, all leave at once where they
    come to 1; so the feedback stays within one batch's step of L - 1 either way, and by it the bound.
    """

    def __init__(
        self,
        thresholds: np.ndarray,
        spent: np.ndarray,
        per_second: float,
        gain: float = GAIN,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """As of a Budget; `per_second`: layers; `clock`: seconds, read now and whenever a batch has come.

        Raises InputError unless layers a second and gain are above 0.
        """
        self.per_second = positive("layers_per_second", per_second, "a number above 0")
        super().__init__(thresholds, spent, 1, gain)
        self._clock, self._last = clock, clock()

    def begin(self, samples: int) -> None:
        """Take note of a batch that has come: what is allowed of it follows from the seconds that it took to come."""
        now = self._clock()
        allowed = float(np.clip(self.per_second * (now - self._last) / samples, 1, self.layers))
        self.asked, self.budget, self._last = self.asked + allowed - self.budget, allowed, now

    @property
    def bound(self) -> float:
        """How far the mean of all executed layers can be from that of the allowances by now, at most."""
        return (self.layers - 1) * (1 / self.gain + self.largest) / self.samples if self.samples else np.inf


class Steady:
    """A threshold that stays as it is, in a budget's place."""

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold

    def begin(self, samples: int) -> None:
        """Change nothing."""

    def spend(self, executed: np.ndarray) -> None:
        """Change nothing."""


def held(scores: np.ndarray, budget: Budget, batch: int = 1) -> np.ndarray:
    """The executed layers of a stream under a budget, int64 [samples], which is told of each `batch` after it."""
    parts = []
    for start in range(0, len(scores), batch):
        rows = scores[start : start + batch]
        budget.begin(len(rows))
        parts.append(exit_layers(rows, budget.threshold))
        budget.spend(parts[-1])
    return np.concatenate(parts)


class Alarm:
    """Says when a stream no longer looks like calibration: a betting martingale on ranks (Vovk's simple jumper).

    What it watches is one number of each sample that does not depend on a threshold which moves: the score of the first
    exit, or the layer of leaving where the threshold is fixed. As long as samples and calibration rows could have come
    in any order, each one's rank among all so far is uniform and independent, and no bet on it wins: the chance that
    the capital ever grows to 1 / level is at most `level`, however long the stream is (Ville's inequality).
    """

    def __init__(self, calibration: np.ndarray, level: float = 0.01, seed: int = 0) -> None:
        """Compare with the numbers of the `calibration` rows, [rows]; `level`: chance of a false alarm in all time.

        Raises InputError for a level outside (0, 1).
        """
        positive("level", level, "a number between 0 and 1", below=1)
        self._seen, self._random = sorted(np.asarray(calibration).tolist()), np.random.default_rng(seed)
        self._shares, self._gain, self._enough = [1 / len(BETS)] * len(BETS), 0.0, -math.log(level)
        self.samples, self.raised_at = 0, None

    def watch(self, values: np.ndarray) -> bool:
        """Whether the alarm has been raised, after the numbers of further samples; once raised, it stays so."""
        for value, lot in zip(np.asarray(values).tolist(), self._random.random(len(values)), strict=True):
            if self.raised_at is not None:
                return True
            self._bet(value, lot)
        return self.raised_at is not None

    def _bet(self, value: float, lot: float) -> None:
        below, others = bisect_left(self._seen, value), bisect_right(self._seen, value)
        rank = (below + lot * (others - below + 1)) / (len(self._seen) + 1)  # equal ones are ordered by lot
        insort(self._seen, value)
        before = [(1 - JUMP) * share + JUMP / len(BETS) for share in self._shares]
        won = [share * (1 + bet * (rank - 0.5)) for share, bet in zip(before, BETS, strict=True)]
        capital = sum(won)
        self._gain += math.log(capital)
        self._shares = [share / capital for share in won]
        self.samples += 1
        if self._gain >= self._enough:
            self.raised_at = self.samples

    @property
    def above(self) -> bool:
        """Whether the samples' numbers lie above those of calibration, or else below."""
        return sum(bet * share for bet, share in zip(BETS, self._shares, strict=True)) > 0
