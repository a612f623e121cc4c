"""The options of training, from Python: what there cannot be is refused in one line, before anything is read."""

import pytest

from fastbert_core.errors import InputError
from fastbert_core.options import Options


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("epochs", 0, "a positive integer"),
        ("epochs", 2.5, "a positive integer"),
        ("student_epochs", -1, "a positive integer"),
        ("batch_size", 0, "a positive integer"),
        ("batch_size", None, "a positive integer"),
        ("max_tokens", True, "a positive integer"),
        ("train_rows", 0, "a positive integer"),
        ("rate", 0, "a number between 0 and 1"),
        ("rate", "1e-3", "a number between 0 and 1"),
        ("student_rate", 1.0, "a number between 0 and 1"),
        ("student_rate", float("nan"), "a number between 0 and 1"),
        ("seed", "a", "an integer from 0 to 4294967295"),
        ("seed", 2**32, "an integer from 0 to 4294967295"),
    ],
)
def test_a_number_that_there_cannot_be_is_refused(option, value, expected):
    with pytest.raises(InputError) as refused:
        Options(**{option: value})
    assert str(refused.value) == f"{option}: found {value!r}, expected {expected}"


def test_what_is_left_out_follows_from_the_width_and_the_rows():
    fine, students = Options().stages(hidden=384, rows=10_000)
    assert (fine.schedule.epochs, fine.schedule.rate, students.schedule.epochs) == (3, 2e-4, 5)
    fine, students = Options(epochs=1, rate=1e-5).stages(hidden=384, rows=100)
    assert (fine.schedule.epochs, fine.schedule.rate, students.schedule.epochs) == (1, 1e-5, 20)
