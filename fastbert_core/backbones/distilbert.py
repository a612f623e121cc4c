"""DistilBERT (Sanh et al. 2019): BERT's layers, no segments, names of its own."""

from fastbert_core.backbones import FAMILIES, Family


class DistilBert(Family):
    """It has no pooler to leave out."""

    stack = "transformer.layer"
    intermediate = "hidden_dim"
    pooler = False
    segments = False
    query_and_key = ("attention.q_lin", "attention.k_lin")


FAMILIES.register("distilbert", DistilBert())
