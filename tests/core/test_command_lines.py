"""Every command line that stands in a block of README or docs is one that can be typed."""

import re
import shlex
import textwrap
from pathlib import Path

import pytest

from fastbert_core import cli
from reproductions import cli as suite

ROOT = Path(__file__).parents[2]
PARSERS = {"fastbert": cli.parser(), "python -m reproductions": suite._parser()}
TEXTS = (path.read_text(encoding="utf-8") for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))))
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(rf"^ {{4,}}(?:FASTBERT_\w+=\S+ )?({'|'.join(PARSERS)}) (.*)", re.MULTILINE)
LINES = [
    found
    for text in TEXTS
    for found in COMMAND.findall(FENCED.sub(lambda block: textwrap.indent(block[0], "    "), text))
]


@pytest.mark.parametrize(("program", "line"), LINES)
def test_a_command_of_a_page_is_understood(program, line):
    line = re.sub(r"\bN\b|[][]", lambda found: "1" if found[0] == "N" else "", line)  # [--workers N]
    words = shlex.split(line.partition(" > ")[0], comments=True)
    assert callable(PARSERS[program].parse_args(words).command)


def test_both_programs_have_lines():
    assert min(sum(program == of for of, _ in LINES) for program in PARSERS) > 10
