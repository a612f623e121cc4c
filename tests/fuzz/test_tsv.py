"""TSV files: what is in order is read as it stands, whatever is not is refused, and a second reading says which."""

import gzip
import lzma
import re
import zlib
from unicodedata import category

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastbert_core.tasks import Task
from fastbert_core.tsv import read_tsv
from tests.fuzz.harness import REFUSED, damaged, fuzz, outcome

SINGLE, PAIR = Task("mine", "en", ("no", "maybe", "yes")), Task("mine", "zh", ("no", "yes"), pair=True)
PACK = {
    "tsv": bytes,
    "tsv.gz": lambda data: gzip.compress(data, 1),
    "tsv.xz": lambda data: lzma.compress(data, preset=0),
}
UNPACK = {"tsv": bytes, "tsv.gz": gzip.decompress, "tsv.xz": lzma.decompress}

text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\t\n"), min_size=1, max_size=12)
BAD_LABELS = (*"3 -1 -0 007 1.0 1e0 +1 1_0 nan ² 0x1 True".split(), " 1", "1 ", "", "\uff11", "9" * 5000)
cell = st.sampled_from(
    (text,) * 30 + (st.sampled_from(("", " ", "\0", " \0\u3000", "\r", "\u200b", "\x01\ufeff")),)
).flatmap(lambda kind: kind)
label = st.sampled_from(("0", "1") * 10 * len(BAD_LABELS) + ("2",) * len(BAD_LABELS) + BAD_LABELS)
tokens = (b"\t", b"\r\n", b"\n\n", b"label", b"text_b", b"\t\t", b"0\t", b"\x1a", "\u2028".encode())


@st.composite
def tables(draw):
    """(task, lines of fields): mostly a header that fits the task, and rows that have as many fields."""
    task = draw(st.sampled_from((SINGLE, PAIR)))
    names = ["label", "text_a", *["text_b"] * task.pair, *draw(st.sampled_from(([], ["id"], ["x", "id"])))]
    names = draw(st.permutations(names))
    odd = (names[1:], [*names, "label"], [*names, "text_b"], [name.upper() for name in names])
    names = draw(st.sampled_from([names] * 30 + list(odd)))
    lines = [names]
    for _ in range(draw(st.sampled_from((0, 1, 1, 2, 3, 5)))):
        fields = [draw(label if name == "label" else cell) for name in names]
        fields = draw(st.sampled_from([fields] * 40 + [fields[1:], [*fields, ""], [""]]))
        lines.append(fields)
    return task, lines


def seen(text):
    """Whether something in `text` leaves ink, or would if its font had it."""
    return any(category(char)[0] not in "ZC" or category(char) in ("Cn", "Co") for char in text)


def expected(data, task):
    """What the file says, read another way: rows of (label, text_a, text_b), or None if it is not in order."""
    try:
        body = data.decode()
    except UnicodeDecodeError:
        return None
    if "\0" in body:
        return None
    lines = body.split("\n")
    lines = [line[:-1] if line.endswith("\r") else line for line in (lines[:-1] if lines[-1] == "" else lines)]
    names = lines[0].lstrip("\ufeff").split("\t") if lines else []
    texts = ["text_a", "text_b"] if task.pair else ["text_a"]
    if "\r" in "".join(names):
        return None
    if any(names.count(name) != 1 for name in [*texts, "label"]) or ("text_b" in names and not task.pair):
        return None
    found = []
    for line in lines[1:]:
        fields = line.split("\t")
        row = dict(zip(names, fields, strict=False))
        if len(fields) != len(names) or any(not seen(row[name]) for name in texts):
            return None
        if not (re.fullmatch("-?[0-9]{1,9}", row["label"]) and 0 <= int(row["label"]) < len(task.classes)):
            return None
        found.append((int(row["label"]), *(row[name] for name in texts)))
    return found or None


def as_rows(split):
    """The rows of a Split in the shape of `expected`."""
    return list(
        zip(split.labels.tolist(), split.texts, *([split.pairs] if split.pairs is not None else []), strict=True)
    )


def check(folder, suffix, data, task):
    """Read the bytes `data` as a file and hold the outcome against `expected`."""
    path = folder / f"x.{suffix}"
    path.write_bytes(data)
    try:
        plain = UNPACK[suffix](data)
    except (OSError, EOFError, zlib.error, lzma.LZMAError):
        plain = b"\xff"
    found = outcome(read_tsv, path, task, folder=folder, name=str(path))
    wanted = expected(plain, task)
    assert (None if found is REFUSED else as_rows(found)) == wanted


@pytest.mark.parametrize("suffix", PACK)
@given(
    table=tables(),
    end=st.sampled_from(["\n"] * 9 + ["\r\n"] * 9 + ["\n\n"]),
    last=st.booleans(),
    bom=st.booleans(),
)
@fuzz(150)
def test_tables(tmp_path, suffix, table, end, last, bom):
    task, lines = table
    body = end.join("\t".join(fields) for fields in lines) + (end if last else "")
    check(tmp_path, suffix, PACK[suffix](("\ufeff" * bom + body).encode()), task)


GOOD = 'label\ttext_a\n0\tone\n1\t"two, she said\n2\tdrei und vierzig £\n'
PAIRS = "text_b\tlabel\ttext_a\r\none\t0\tzwei\r\n三\t1\t四\r\n"


@pytest.mark.parametrize("suffix", PACK)
@given(data=st.data())
@fuzz(150)
def test_damaged_bytes(tmp_path, suffix, data):
    task, good = data.draw(st.sampled_from(((SINGLE, GOOD), (PAIR, PAIRS))))
    before = data.draw(damaged(good.encode(), tokens)) if data.draw(st.booleans()) else good.encode()
    stored = data.draw(damaged(PACK[suffix](before), tokens))
    check(tmp_path, suffix, stored, task)


@given(
    size=st.integers(1 << 17, 1 << 22), filler=st.sampled_from(["x", "\0", "\r", '"', "\t", "語"]), column=st.booleans()
)
@fuzz(20)
def test_huge_lines(tmp_path, size, filler, column):
    huge = filler * (size // len(filler.encode()))
    line = f"{huge}\tone" if column else f"1\t{huge}"
    check(tmp_path, "tsv", f"label\ttext_a\n0\tone\n{line}\n2\ttwo\n".encode(), SINGLE)
