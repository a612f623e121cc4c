"""Numbers that are asked for, refused in one line where there can be no such number."""

import math

import numpy as np

from fastbert_core.errors import InputError


def whole(name: str, value: int | None, default: int | None = None, most: int | None = None, least: int = 1) -> int:
    """`value`, or `default` where it is None. Raises InputError unless it is an integer from `least` to `most`."""
    if value is None and default is not None:
        return default
    integer = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not integer or value < least or (most is not None and value > most):
        limits = "a positive integer" if most is None else f"an integer from {least} to {most}"
        raise InputError(f"{name}: found {value!r}, expected {limits}")
    return int(value)


def positive(name: str, value: float, expected: str, below: float = math.inf) -> float:
    """`value`. Raises InputError, which says what is `expected`, unless it is a number between 0 and `below`."""
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not number or not 0 < value < below:
        raise InputError(f"{name}: found {value!r}, expected {expected}")
    return float(value)
