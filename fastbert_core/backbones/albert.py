"""ALBERT (Lan et al. 2020): layers share weights, which counts parameters once and FLOPs every time."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from fastbert_core.backbones import FAMILIES, Family, Operation, Sizes

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedConfig, PreTrainedModel


class Albert(Family):
    """Consecutive layers run the same group of weights; a group is usually the only one, and of one inner layer."""

    query_and_key = ("albert_layers.0.attention.query", "albert_layers.0.attention.key")

    def embed(self, model: PreTrainedModel, ids: Tensor, types: Tensor | None) -> Tensor:
        """Embeddings, projected to the layers' width."""
        return model.encoder.embedding_hidden_mapping_in(super().embed(model, ids, types))

    def layers(self, model: PreTrainedModel) -> list[nn.Module]:
        """The group that each layer runs."""
        groups, layers = model.encoder.albert_layer_groups, model.config.num_hidden_layers
        return [groups[int(at / (layers / len(groups)))] for at in range(layers)]

    def cut(self, model: PreTrainedModel, block: int) -> None:
        """The first of every `block` layers; where there are several groups, each of them has its own afterwards."""
        kept, groups = self.layers(model)[::block], model.encoder.albert_layer_groups
        if len(groups) > 1:
            model.encoder.albert_layer_groups = type(groups)(copy.deepcopy(group) for group in kept)
            model.config.num_hidden_groups = len(kept)
        model.config.num_hidden_layers = len(kept)

    def sizes(self, config: PreTrainedConfig) -> dict[str, int]:
        """The embeddings' width, and how many inner layers a layer runs."""
        return {"embedding": config.embedding_size, "inner": config.inner_group_num}

    def operations(self, shape: Sizes, first: bool) -> list[Operation]:
        """BERT's, as often as there are inner layers."""
        operations = super().operations(shape, first)
        before = [operation for operation in operations if operation.block == "Embeddings"]
        return before + operations[len(before) :] * shape.extra["inner"]


FAMILIES.register("albert", Albert())
