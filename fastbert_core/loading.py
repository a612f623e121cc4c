"""Encoders and models of Hugging Face's form, loaded whole or refused: of a known family, with the weights named."""

import re
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel
from transformers.utils import cached_file

from fastbert_core.backbones import FAMILIES, Family
from fastbert_core.errors import InputError, refused

# So that `check_whole`, and not a log, tells of weights that do not fit.
LOADING = {"use_safetensors": True, "output_loading_info": True, "ignore_mismatched_sizes": True}


def family_of(config: PreTrainedConfig, name: str | Path) -> Family:
    """The family of the encoder that `config` describes. Raises InputError, naming `name`, if it is of none."""
    if config.model_type == "fastbert":
        raise InputError(f"{name}: found a trained FastBERT, expected an encoder, such as the one that it was made of")
    try:
        return FAMILIES[config.model_type]
    except InputError as error:
        raise InputError(f"{name}: {error}") from None


def bare(family: Family) -> dict[str, bool]:
    """What AutoModel is told so that it makes the encoder without a pooler."""
    return {"add_pooling_layer": False} if family.pooler else {}


def check_whole(source: str | Path, found: dict[str, Any], within: str = "") -> None:
    """Raise InputError unless the weights at `source` and its config.json are of one model.

    transformers would make up what is missing or of another shape, and pass over what is left. found: its loading info;
    within: a pattern; what is left under other names may be
    """
    if differing := sorted(found["mismatched_keys"]):
        name, stored, expected = differing[0][0], *(list(shape) for shape in differing[0][1:])
        raise InputError(f"{source}: found weights {name} of shape {stored}, expected {expected} as in config.json")
    if missing := sorted(found["missing_keys"]):
        raise InputError(f"{source}: found no weights of {len(missing)} parameters, such as {missing[0]}, expected all")
    if left := sorted(name for name in found["unexpected_keys"] if re.search(within, name)):
        found_left = f"found {len(left)} weights that config.json has no place for, such as {left[0]}"
        raise InputError(f"{source}: {found_left}, expected none")


def load_backbone(source: str | Path) -> PreTrainedModel:
    """The bare encoder at `source` (folder or hub id) in float32.

    Raises InputError if it is none, or damaged, and as `check_whole` does. Heads upon the encoder may be left.
    """
    with refused(f"{source}: cannot be loaded as an encoder: "):
        family = family_of(AutoConfig.from_pretrained(source, trust_remote_code=False), source)
        # Without `dtype`, transformers takes the one in config.json, which need not be float32.
        model, found = AutoModel.from_pretrained(
            source, dtype=torch.float32, trust_remote_code=False, **LOADING, **bare(family)
        )
    # Names of weights within the encoder, whatever it was saved as a part of; others are a pooler's or a head's.
    check_whole(source, found, rf"(^|\.)({'|'.join(name for name, _ in model.named_children())})\.")
    return model


def file_beside(source: str | Path, name: str) -> Path | None:
    """A file beside the model `source` (folder or hub id); None where there is none."""
    file = cached_file(str(source), name, _raise_exceptions_for_missing_entries=False)
    return None if file is None else Path(file)
