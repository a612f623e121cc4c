"""XLNet (Yang et al. 2019): relative positions and relative segments in every layer, [CLS] after the text.

Its positions are relative, so texts may be padded on the right as all others are. Segments are compared within the
layers, and so belong to the context, which the engine could not make again for a batch that it re-forms.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastbert_core.backbones import FAMILIES, Family, Operation, Sizes

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedConfig, PreTrainedModel


class XLNet(Family):
    """transformers runs it as [tokens, batch, hidden], which is turned before and after each layer."""

    stack = "layer"
    intermediate = "d_inner"
    pooler = False
    sdpa = False
    query_and_key = None
    cls_first = False
    pooled = False

    def embed(self, model: PreTrainedModel, ids: Tensor, types: Tensor | None) -> Tensor:
        """Embeddings of token ids alone."""
        return model.dropout(model.word_embedding(ids))

    def context(
        self, model: PreTrainedModel, hidden: Tensor, mask: Tensor | None, types: Tensor | None = None
    ) -> tuple[Tensor | None, Tensor, Tensor | None]:
        """What no token may see, the embeddings of all distances, and which tokens are of different segments."""
        import torch

        batch, n, _ = hidden.shape
        hidden_from, segments = None, None
        if mask is not None:  # every token may see itself
            padding = (~mask).to(hidden.dtype).T[None, :, :, None]  # [1, n, batch, 1]
            itself = torch.eye(n, device=hidden.device, dtype=hidden.dtype)[:, :, None, None]
            hidden_from = (padding > itself).to(hidden.dtype)
        if types is not None:
            differ = (types.T[:, None] != types.T[None]).long()  # [n, n, batch]
            segments = torch.nn.functional.one_hot(differ, 2).to(hidden.dtype)
        distances = model.relative_positional_encoding(n, n, bsz=batch, device=hidden.device)
        return hidden_from, model.dropout(distances), segments

    def layer(self, model: PreTrainedModel, number: int, hidden: Tensor, context: tuple) -> Tensor:
        """Hidden states after layer `number`."""
        hidden_from, distances, segments = context
        layer = self.layers(model)[number - 1]
        return layer(hidden.transpose(0, 1), None, hidden_from, None, distances, segments)[0].transpose(0, 1)

    def read(self, model: PreTrainedModel, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """Hidden states with the last real token, [CLS], before the others; a classifier asks for no other order."""
        import torch

        if mask is None:
            return hidden.roll(1, dims=1)
        lengths = mask.sum(dim=1, keepdim=True)
        at = torch.arange(hidden.shape[1], device=hidden.device)[None]  # [1, n]
        order = torch.where(mask, (at - 1) % lengths, at)
        return hidden.gather(1, order[..., None].expand_as(hidden))

    def longest(self, config: PreTrainedConfig) -> int:
        """As many tokens as it was trained on; relative positions set no limit."""
        return 512

    def operations(self, shape: Sizes, first: bool) -> list[Operation]:
        """BERT's, a projection of the 2n distances, products with these, and two scores of segments for each head."""
        h, heads = shape.hidden, shape.heads
        return [
            *super().operations(shape, first),
            Operation("Transformer", f"Distances ({h}->{h})", per_token=2 * h * h),
            Operation("Transformer", "Products with distances", per_pair=2 * h, linear=False),
            Operation("Transformer", "Segments", per_token=2 * h, per_pair=2 * heads, linear=False),
        ]


FAMILIES.register("xlnet", XLNet())
