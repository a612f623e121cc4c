"""The generated parts of pages: the blocks between `<!-- table: NAME -->` and `<!-- end -->`, made from the tables.

`python -m reproductions.pages` writes them into README.md, results/README.md and docs/. All else is written by hand.
"""

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from fastbert_core.arguments import ArgumentParser, command_line
from fastbert_core.errors import InputError
from fastbert_core.files import write_whole
from reproductions import bench_blocks, paper_blocks, reference_blocks, result_blocks, rule_blocks  # noqa: F401
from reproductions.blocks import BLOCKS, Tables
from reproductions.checkout import committed

BEGIN, END = "<!-- table: ", "<!-- end -->"
BLOCK = re.compile(f"({BEGIN}([\\w-]+) -->\n).*?({END})", re.DOTALL)


def made(path: Path) -> str:
    """The text of the page at `path` with all its blocks made again.

    Raises InputError for a block that is unknown or has no end, and where a table is not in order.
    """
    text, tables = path.read_text(encoding="utf-8"), Tables()

    def again(match: re.Match) -> str:
        begin, name, end = match.groups()
        if name not in BLOCKS or BEGIN in match[0].removeprefix(begin):
            wanted = f"one of {', '.join(BLOCKS)}, and {END} after it"
            raise InputError(f"{path}: found {begin.strip()}, expected {wanted}")
        return f"{begin}\n{BLOCKS[name](tables)}\n\n{end}"

    made_again, count = BLOCK.subn(again, text)
    if count != text.count(BEGIN):
        raise InputError(f"{path}: found {text.count(BEGIN)} blocks begun, expected {END} after each")
    return made_again


def pages() -> list[Path]:
    """The pages that may hold blocks."""
    found = [committed("README.md"), committed("results", "README.md"), *sorted(committed("docs").rglob("*.md"))]
    return [path for path in found if path.is_file()]


def write() -> list[Path]:
    """Write the pages whose blocks have changed, and return them. Raises InputError as `made` does, before any is."""
    texts = {path: made(path) for path in pages()}
    changed = [path for path, text in texts.items() if text != path.read_text(encoding="utf-8")]
    for path in changed:
        write_whole(path, texts[path])
    return changed


@command_line
def main(arguments: Sequence[str] | None = None) -> int:
    """Write the pages, print which have changed, and return the exit code."""
    ArgumentParser(prog="python -m reproductions.pages", description=__doc__).parse_args(arguments)
    print(*write(), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
