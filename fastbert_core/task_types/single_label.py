"""Single-label classification: one class a text, the paper's own type, which all others are told apart from."""

from fastbert_core.task_types import SINGLE, TASK_TYPES

TASK_TYPES.register("single-label", SINGLE)
