"""DistilBERT (Sanh et al. 2019): BERT's layers, no segments, names of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastbert_core.backbones import FAMILIES, Family

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel


class DistilBert(Family):
    """It has no pooler to leave out."""

    stack = "transformer.layer"
    intermediate = "hidden_dim"
    pooler = False
    query_and_key = ("attention.q_lin", "attention.k_lin")

    def embed(self, model: PreTrainedModel, ids: Tensor, types: Tensor | None) -> Tensor:
        """Embeddings of token ids alone."""
        return model.embeddings(ids)


FAMILIES.register("distilbert", DistilBert())
