"""`fastbert predict`: texts in, a whole line of JSON for each out, in memory that does not grow."""

import contextlib
import itertools
import json
import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from fastbert_core.columns import check_pairs, choose_columns, text_of
from fastbert_core.reading import read_tables
from fastbert_core.records import one_of

if TYPE_CHECKING:
    from fastbert_core.engine import Engine, Prediction

BLOCK = 4096  # bytes that a pipe takes whole or not at all


def predict(
    engine: "Engine",
    texts: str,
    wanted: dict[str, float],
    read: dict[str, str | None],
    batch_size: int | None,
    probabilities: bool,
) -> str:
    """Write the predictions for `texts`, a file of any kind or `-`, to standard output, and tell of them in one line.

    wanted: by which to leave early, as of `Engine.predict`
    read: the columns text and pair, and the encoding, where they are not the usual ones

    Raises InputError as the reader and the engine do; what came before is written.
    """
    records = one_of(read_tables(texts, read["encoding"]), "test", "train", "dev")
    columns = choose_columns(records, read["text"], read["pair"], labelled=False, kind=engine.model.kind)
    check_pairs(columns.pair is not None, engine.model.config.pair, records.name)
    rows, others = (records.rows, None) if columns.pair is None else itertools.tee(records.rows)
    of_words = engine.model.kind.of_words
    first = (text_of(row, columns.text, records.at(number), of_words) for number, row in rows)
    second = others and (text_of(row, columns.pair, records.at(number)) for number, row in others)
    begun = time.monotonic()
    found = engine.predict(first, pairs=second, batch_size=batch_size, **wanted)
    names = engine.model.config.class_names if probabilities else None
    with _interrupted_by_term():
        count, layers, cut = _write(found, names, at_once=batch_size == 1)
    seconds = time.monotonic() - begun
    cut = f"{cut} cut" + (f", in {engine.precision}" if engine.precision != "fp32" else "")
    of = f"{layers / max(1, count):.2f} of {engine.model.layers} layers on average"
    return f"{count} texts in {seconds:.1f} s ({count / max(seconds, 1e-9):.0f} a second), {of}, {cut}"


def _write(found: "Iterable[Prediction]", names: list[str] | None, at_once: bool) -> tuple[int, int, int]:
    """Write a line for each; how many there are, how many layers they took, and how many were cut.

    Whole lines are sent together; `at_once` sends each as it comes. An interrupt leaves whole lines alone, and so does
    SIGTERM. SIGKILL may leave one half, which ends where a page of the file does: the kernel copies page by page.
    """
    count = layers = cut = 0
    ready = block = b""
    try:
        for prediction in found:
            count, layers, cut = count + 1, layers + prediction.exit_layer, cut + prediction.truncated
            line = (json.dumps(told_of(prediction, names), ensure_ascii=False) + "\n").encode()
            whole = block + line
            ready, block = (whole, b"") if at_once else (block, line) if len(whole) > BLOCK else (b"", whole)
            if ready:
                _send(ready)
                ready = b""
    finally:
        if not ready:  # else an interrupt came while it was sent, and neither twice nor with a gap is right
            _send(block)
    return count, layers, cut


@contextlib.contextmanager
def _interrupted_by_term() -> Iterator[None]:
    """SIGTERM interrupts as Ctrl-C does, so that what is being written is written to its end."""
    if threading.current_thread() is not threading.main_thread():  # which alone may handle signals
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def told_of(prediction: "Prediction", names: list[str] | None) -> dict:
    """What is told of a prediction; `names`: of the classes, whose probabilities are told too unless it is None."""
    told = {
        "label": prediction.label,
        "exit_layer": prediction.exit_layer,
        "uncertainty": round(prediction.uncertainty, 6),
        "truncated": prediction.truncated,
    }
    if names is not None and len(names) > 1:  # of a score there are none
        told["probabilities"] = _named(prediction.probabilities, names)
    return told


def _named(probabilities: Sequence, names: list[str]) -> dict | list[dict]:
    """What was said of every class, of words for each of them."""
    if probabilities and isinstance(probabilities[0], list):
        return [_named(of_word, names) for of_word in probabilities]
    return dict(zip(names, (round(p, 6) for p in probabilities), strict=True))


def _send(block: bytes) -> None:
    sys.stdout.buffer.write(block)
    sys.stdout.buffer.flush()
