"""RoBERTa (Liu et al. 2019), XLM-RoBERTa, CamemBERT: BERT's layers, positions counted from the padding token's on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastbert_core.backbones import FAMILIES, Family

if TYPE_CHECKING:
    from transformers import PreTrainedConfig


class Roberta(Family):
    """The first token's position is the padding token's id and one; padding has that id itself as its position."""

    def padding(self, config: PreTrainedConfig) -> int:
        """The configuration's."""
        return config.pad_token_id

    def longest(self, config: PreTrainedConfig) -> int:
        """Positions, less those up to the padding token's."""
        return config.max_position_embeddings - (self.padding(config) + 1)


FAMILIES.register("roberta", Roberta())
FAMILIES.register("xlm-roberta", Roberta())
FAMILIES.register("camembert", Roberta())
