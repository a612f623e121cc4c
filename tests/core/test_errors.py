import pytest

from fastbert_core.errors import LONGEST, InputError, RunError, one_line, reason


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
    assert reason(KeyError("key")) == "no 'key'"


@pytest.mark.parametrize("filling", ["a", "é", "語", "\U0001f600", "\0", "\r0\tone\u2028"])
def test_a_message_stays_below_1000_bytes_and_keeps_both_ends(filling):
    for length in (300, 799, 100_000):
        line = str(InputError(f"x.tsv:1: found {filling * length}, expected one column 'label'"))
        assert len(f"error: {line}; python -m reproductions --help tells more\n".encode()) < 1000
        assert line.startswith("x.tsv:1: found ")
        assert line.endswith(", expected one column 'label'")
        assert line.isprintable()
        assert one_line(line) == line


def test_a_message_as_long_as_may_be_is_whole():
    assert one_line("語" * (LONGEST // 3)) == "語" * (LONGEST // 3)
    assert one_line("a" * LONGEST) == "a" * LONGEST
    assert one_line("a" * LONGEST + "b") == "a" * 397 + " ... " + "a" * 396 + "b"
