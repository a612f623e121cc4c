"""MPNet (Song et al. 2020): BERT's layers with a relative position bias that all share; eager attention only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastbert_core.backbones import FAMILIES
from fastbert_core.backbones.roberta import Roberta

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedConfig, PreTrainedModel


class MPNet(Roberta):
    """It has no segments; positions are counted as in RoBERTa, the padding token being 1 whatever the configuration."""

    segments = False
    sdpa = False
    query_and_key = None

    def context(
        self, model: PreTrainedModel, hidden: Tensor, mask: Tensor | None, types: Tensor | None = None
    ) -> tuple[Tensor | None, Tensor]:
        """The attention mask, and the position bias, which depends on the width alone."""
        return super().context(model, hidden, mask), model.encoder.compute_position_bias(hidden)

    def layer(self, model: PreTrainedModel, number: int, hidden: Tensor, context: tuple) -> Tensor:
        """Hidden states after layer `number`."""
        return self.layers(model)[number - 1](hidden, *context)[0]

    def padding(self, config: PreTrainedConfig) -> int:
        """What transformers has written into the model."""
        return 1


FAMILIES.register("mpnet", MPNet())
