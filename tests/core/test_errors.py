import pytest

from fastbert_core.errors import InputError, RunError, one_line, reason


@pytest.mark.parametrize("kind", [InputError, RunError])
def test_whatever_a_message_quotes_it_is_one_printable_line(kind):
    message = str(kind("a\nb\r\0\x1b[31m\u2028é\udc80 語"))
    assert message == r"a\nb\r\x00\x1b[31m\u2028é\udc80 語"
    assert message.isprintable()


def test_a_printable_line_stays_as_it_is():
    assert one_line("x.tsv:1: found 'é', expected 語") == "x.tsv:1: found 'é', expected 語"


def test_the_reason_is_the_first_line_or_the_kind():
    assert reason(ValueError("\n first\nsecond")) == "first"
    assert reason(KeyError()) == "KeyError"
