"""Lines of text files in any encoding, packed or not, each by its number."""

import bz2
import codecs
import gzip
import io
import lzma
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from fastbert_core.errors import InputError, reason
from fastbert_core.files import UNREADABLE

PACKED = {".gz": gzip.open, ".xz": lzma.open, ".bz2": bz2.open}
MARKS = (  # UTF-32's begins with UTF-16's
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
WIDE = ("utf-16", "utf-32")  # encodings in which a line feed is more than its byte


def lines(file: BinaryIO, name: str, encoding: str | None = None) -> Iterator[tuple[int, str]]:
    """Lines with their ends and their numbers. Only a line feed ends one, whatever else is in them.

    encoding: None is what a byte-order mark says, or UTF-8; a fault tells then how to name one. Raises
    InputError, naming file and line, for what cannot be read.
    """
    number, named = 0, encoding is not None
    try:
        with file, io.BufferedReader(file) as raw:
            start = raw.peek(4)[:4]
            encoding = encoding or next((known for mark, known in MARKS if start.startswith(mark)), "utf-8")
            if codecs.lookup(encoding).name.startswith(WIDE):
                decoded: Iterable[str] = io.TextIOWrapper(raw, encoding, newline="\n")
            else:
                decoded = (line.decode(encoding) for line in raw)
            for line in decoded:
                number += 1
                if "\0" in line:
                    remedy = "" if named else "; if it is UTF-16 without a mark, --encoding utf-16-le reads it"
                    raise InputError(f"{name}:{number}: found a NUL character, expected text{remedy}")
                yield number, line.removeprefix("\ufeff") if number == 1 else line
    except LookupError as error:
        raise InputError(f"encoding: found {encoding!r}, expected one that Python knows, such as gb18030") from error
    except UnicodeDecodeError as error:
        found = f"{name}:{number + 1}: found byte {error.object[error.start]:#04x}"
        remedy = "" if named else "; --encoding NAME says which it is, such as gb18030, cp1252 or utf-16"
        raise InputError(f"{found}, expected {encoding.upper()}{remedy}") from error
    except UnicodeError as error:  # a codec that refuses the whole file
        found = f"{name}: found a file that {encoding} does not read ({error})"
        remedy = "without --encoding UTF-8 is tried; utf-16-le and utf-16-be read what has no mark"
        raise InputError(f"{found}, expected another encoding; {remedy}") from error
    except UNREADABLE as error:
        raise InputError(f"{name}:{number + 1}: unreadable ({reason(error)}), expected a whole file") from error
