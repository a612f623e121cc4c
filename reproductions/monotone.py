"""Does a share fall along ordered groups? A likelihood-ratio test against every rise, and how large a rise may be."""

import numpy as np

RESAMPLES = 2_000
LEVEL = 0.95


def falling(successes: np.ndarray, trials: np.ndarray) -> np.ndarray:
    """The likeliest shares [..., groups] that never rise from group to group (isotonic regression, min-max formula).

    successes, trials: [..., groups], no trials 0.
    """
    zero = np.zeros((*successes.shape[:-1], 1))
    hits, sizes = (np.concatenate([zero, counts.cumsum(axis=-1)], axis=-1) for counts in (successes, trials))
    first, last = np.triu_indices(successes.shape[-1])  # of every run of groups first..last
    means = np.full((*successes.shape[:-1], *2 * successes.shape[-1:]), -np.inf)
    means[..., first, last] = (hits[..., last + 1] - hits[..., first]) / (sizes[..., last + 1] - sizes[..., first])
    # Largest mean of the runs that begin at a and end at i or later; the share at i is its least over a up to i.
    best = np.maximum.accumulate(means[..., ::-1], axis=-1)[..., ::-1]
    return np.where(np.triu(np.ones(best.shape[-2:], bool)), best, np.inf).min(axis=-2)


def isotonic_p(successes: np.ndarray, trials: np.ndarray) -> float:
    """p of the likelihood-ratio test that shares never rise, against any shares, int [groups]; NaN of a single group.

    The statistic's distribution is a bootstrap's from the likeliest shares that never rise.
    """
    if len(trials) < 2:
        return float("nan")
    fitted = falling(successes, trials)
    drawn = np.random.default_rng(0).binomial(trials, np.clip(fitted, 0, 1), size=(RESAMPLES, len(trials)))
    observed, resampled = (_ratio(counts, trials) for counts in (successes, drawn))
    return float((1 + (resampled >= observed - 1e-9).sum()) / (1 + RESAMPLES))


def _ratio(successes: np.ndarray, trials: np.ndarray) -> np.ndarray:
    """Twice the log-likelihood that free shares have over shares that never rise, [...]."""
    fitted, shares = falling(successes, np.broadcast_to(trials, successes.shape)), successes / trials
    with np.errstate(divide="ignore", invalid="ignore"):
        gain = [
            np.where(counts > 0, counts * (np.log(free) - np.log(bound)), 0.0)
            for counts, free, bound in ((successes, shares, fitted), (trials - successes, 1 - shares, 1 - fitted))
        ]
    return 2 * (gain[0] + gain[1]).sum(axis=-1)


def largest_rise(successes: np.ndarray, trials: np.ndarray) -> tuple[float, float]:
    """The largest rise of a share from a group to any later one, and an upper 95% bound on it; NaN of a single group.

    The bound is a bootstrap's from the shares themselves, so it counts noise as rise, and rather says too much.
    """
    if len(trials) < 2:
        return float("nan"), float("nan")
    drawn = np.random.default_rng(0).binomial(trials, successes / trials, size=(RESAMPLES, len(trials)))
    observed, resampled = (_rise(counts / trials) for counts in (successes, drawn))
    return float(observed), float(np.quantile(resampled, LEVEL))


def _rise(shares: np.ndarray) -> np.ndarray:
    """The largest share of a later group minus that of an earlier one, [...]; negative where all fall."""
    later = np.maximum.accumulate(shares[..., ::-1], axis=-1)[..., ::-1][..., 1:]
    return (later - shares[..., :-1]).max(axis=-1)
