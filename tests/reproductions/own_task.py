"""A task of the user's own, as files: three small TSVs and the task file that names them; and how input is refused."""

from collections.abc import Callable
from pathlib import Path

import pytest

from fastbert_core.errors import InputError


def write_task_file(folder: Path, backbone: str | None = None, pair: bool = False) -> Path:
    """Write the TSVs and the task file of the task `mine`, two classes, into `folder`; the task file's path."""
    for split in ("train", "dev", "test"):
        rows = [f"{row % 2}\tword number {row} of {split}" + f"\tand {split}" * pair for row in range(8)]
        (folder / f"{split}.tsv").write_text("\n".join(["label\ttext_a" + "\ttext_b" * pair, *rows]) + "\n")
    lines = ['name = "mine"', 'language = "en"', 'labels = ["even", "odd"]', f"pair = {str(pair).lower()}"]
    lines += [f'{split} = "{split}.tsv"' for split in ("train", "dev", "test")]
    lines += [] if backbone is None else [f'backbone = "{backbone}"']
    (folder / "mine.toml").write_text("\n".join(lines) + "\n")
    return folder / "mine.toml"


def refusal(action: Callable, *arguments: object) -> str:
    """The one line that `action` refuses with."""
    with pytest.raises(InputError) as refused:
        action(*arguments)
    message = str(refused.value)
    assert "\n" not in message
    return message
