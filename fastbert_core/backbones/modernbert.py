"""ModernBERT (Warner et al. 2024): pre-norm, rotary positions, a gated feed-forward, and layers that look around them.

Where attention slides, this suite's attention computes every score and masks what is far, so all layers cost alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastbert_core.backbones import FAMILIES, Family, Operation, Sizes

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel


class ModernBert(Family):
    """A layer's hidden states are not normalised: every classifier reads them through the encoder's final norm."""

    stack = "layers"
    pooler = False
    segments = False
    query_and_key = None

    def context(
        self, model: PreTrainedModel, hidden: Tensor, mask: Tensor | None, types: Tensor | None = None
    ) -> dict[str, tuple]:
        """The attention mask and the rotary embeddings of each type of layer."""
        import torch
        from transformers.masking_utils import create_bidirectional_mask, create_bidirectional_sliding_window_mask

        given = {"config": model.config, "inputs_embeds": hidden, "attention_mask": mask}
        positions = torch.arange(hidden.shape[1], device=hidden.device)[None]
        masks = {
            "full_attention": create_bidirectional_mask(**given),
            "sliding_attention": create_bidirectional_sliding_window_mask(**given),
        }
        return {
            kind: (masks[kind], model.rotary_emb(hidden, positions, kind)) for kind in set(model.config.layer_types)
        }

    def layer(self, model: PreTrainedModel, number: int, hidden: Tensor, context: dict[str, tuple]) -> Tensor:
        """Hidden states after layer `number`, before any norm."""
        layer = self.layers(model)[number - 1]
        mask, rotary = context[layer.attention_type]
        return layer(hidden, attention_mask=mask, position_embeddings=rotary)

    def read(self, model: PreTrainedModel, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """Hidden states through the final norm."""
        return model.final_norm(hidden)

    def cut(self, model: PreTrainedModel, block: int) -> None:
        """The first of every `block` layers, each of the type that it has."""
        super().cut(model, block)
        model.config.layer_types = model.config.layer_types[::block]

    def operations(self, shape: Sizes, first: bool) -> list[Operation]:
        """BERT's, with a gate beside the first feed-forward matrix."""
        h, i = shape.hidden, shape.intermediate
        *attention, _ = super().operations(shape, first)
        return [*attention, Operation("Transformer", f"Gated feedforward ({h}->2·{i}, {i}->{h})", per_token=3 * h * i)]


FAMILIES.register("modernbert", ModernBert())
