"""ELECTRA (Clark et al. 2020), the discriminator: BERT's layers, embeddings that may be narrower and are projected."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastbert_core.backbones import FAMILIES, Family

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel


class Electra(Family):
    """It has no pooler to leave out."""

    pooler = False

    def embed(self, model: PreTrainedModel, ids: Tensor, types: Tensor | None) -> Tensor:
        """Embeddings, projected where they are of another width than the layers."""
        embeddings = super().embed(model, ids, types)
        return model.embeddings_project(embeddings) if hasattr(model, "embeddings_project") else embeddings


FAMILIES.register("electra", Electra())
