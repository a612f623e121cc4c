"""DeBERTa (He et al. 2021), versions 1, 2 and 3: scores between contents, and between contents and distances."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastbert_core.backbones import FAMILIES, Family, Operation, Sizes

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedConfig, PreTrainedModel


class Deberta(Family):
    """Version 1: embeddings of the 2n distances that n tokens have are projected in every layer, for each score."""

    pooler = False
    sdpa = False
    query_and_key = None

    def context(
        self, model: PreTrainedModel, hidden: Tensor, mask: Tensor | None, types: Tensor | None = None
    ) -> tuple:
        """1 at real tokens and 0 elsewhere, the attention mask that this makes, the distances and their embeddings."""
        real = hidden.new_ones(hidden.shape[:2]) if mask is None else mask.to(hidden.dtype)
        encoder = model.encoder
        return real, encoder.get_attention_mask(real), encoder.get_rel_pos(hidden), encoder.get_rel_embedding()

    def layer(self, model: PreTrainedModel, number: int, hidden: Tensor, context: tuple) -> Tensor:
        """Hidden states after layer `number`, in the weights' precision: transformers' code fails under autocast."""
        import torch

        with torch.autocast(hidden.device.type, enabled=False):
            return self.plain_layer(model, number, hidden, context)

    def plain_layer(self, model: PreTrainedModel, number: int, hidden: Tensor, context: tuple) -> Tensor:
        """Hidden states after layer `number`; the first takes embeddings that are 0 at padding."""
        real, attention_mask, distances, embeddings = context
        hidden = hidden * real[..., None] if number == 1 else hidden
        layer = self.layers(model)[number - 1]
        return layer(hidden, attention_mask, relative_pos=distances, rel_embeddings=embeddings)[0]

    def longest(self, config: PreTrainedConfig) -> int:
        """Positions, or distances told apart where these are fewer: beyond them `operations` would count too many."""
        return min(config.max_position_embeddings, _farthest(config))

    def sizes(self, config: PreTrainedConfig) -> dict[str, int]:
        """How many scores there are between contents and distances: up to two."""
        return super().sizes(config) | {"scores": len(_scores(config))}

    def operations(self, shape: Sizes, first: bool) -> list[Operation]:
        """BERT's, and for each score a projection of the distances and a product with them."""
        h, scores = shape.hidden, shape.extra["scores"]
        return [
            *super().operations(shape, first),
            Operation("Transformer", f"Distances ({h}->{h})", per_token=scores * 2 * h * h),
            Operation("Transformer", "Products with distances", per_pair=scores * 2 * h, linear=False),
        ]


class DebertaV2(Deberta):
    """Versions 2 and 3: as many distances whatever the text, in buckets; a convolution beside the first layer."""

    def layer(self, model: PreTrainedModel, number: int, hidden: Tensor, context: tuple) -> Tensor:
        """Hidden states after layer `number`."""
        output, conv = self.plain_layer(model, number, hidden, context), model.encoder.conv
        if number > 1 or conv is None:
            return output
        real = context[0]
        return conv(hidden * real[..., None], output, real)

    def longest(self, config: PreTrainedConfig) -> int:
        """Positions."""
        return config.max_position_embeddings

    def sizes(self, config: PreTrainedConfig) -> dict[str, int]:
        """Scores, projections of distances for them, how many distances, the convolution's width and groups."""
        sizes, buckets = super().sizes(config), getattr(config, "position_buckets", -1)
        shared = config.relative_attention and getattr(config, "share_att_key", False)
        return sizes | {
            "projections": 2 if shared else sizes["scores"],
            "distances": 2 * (buckets if buckets > 0 else _farthest(config)),
            "kernel": getattr(config, "conv_kernel_size", 0),
            "groups": getattr(config, "conv_groups", 1),
        }

    def operations(self, shape: Sizes, first: bool) -> list[Operation]:
        """BERT's, the projections of all distances, whatever the text, and products with them."""
        h, extra = shape.hidden, shape.extra
        distances = extra["distances"]
        operations = [
            *Family.operations(self, shape, first),
            Operation("Transformer", f"Distances ({h}->{h})", once=extra["projections"] * distances * h * h),
            Operation(
                "Transformer", "Products with distances", per_token=extra["scores"] * distances * h, linear=False
            ),
        ]
        if first and extra["kernel"]:
            weights = extra["kernel"] * h * h // extra["groups"]
            operations.append(Operation("Transformer", f"Convolution ({h}->{h})", per_token=weights))
        return operations


def _scores(config: PreTrainedConfig) -> set[str]:
    """The scores between contents and distances, by transformers' names."""
    return {"c2p", "p2c"} & set(config.pos_att_type or ()) if config.relative_attention else set()


def _farthest(config: PreTrainedConfig) -> int:
    """The longest distance that is told from longer ones."""
    return config.max_relative_positions if config.max_relative_positions > 0 else config.max_position_embeddings


FAMILIES.register("deberta", Deberta())
FAMILIES.register("deberta-v2", DebertaV2())
