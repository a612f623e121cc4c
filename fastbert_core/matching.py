"""What a shallow student and its deep teacher compute on the way to an answer, layer beside layer (PKD, TinyBERT)."""

from torch import Tensor

from fastbert_core.encoding import Batch
from fastbert_core.losses import Matched, States
from fastbert_core.model import FastBertModel
from fastbert_core.tracing import evaluating


def match(student: FastBertModel, deep: FastBertModel, batch: Batch, attention: bool) -> Matched:
    """The student's states, which carry gradients, and the teacher's, without dropout, computed now.

    Student layer m stands beside the last layer of the teacher's m-th block, as in both papers: of 3 and 12, layers
    4, 8 and 12.
    """
    with evaluating(deep):
        found = _states(deep, batch, deep.layers // student.layers, attention)
    theirs = States(*([state.clone() for state in states] for states in found))  # of inference mode no more
    return Matched(_states(student, batch, 1, attention), theirs, batch.mask)


def _states(model: FastBertModel, batch: Batch, block: int, attention: bool) -> States:
    hidden = list(model.hidden_states(batch.input_ids, batch.mask, batch.token_type_ids))
    lasts = range(block, model.layers + 1, block)
    scores = [attention_scores(model, layer, hidden[layer - 1]) for layer in lasts] if attention else []
    return States(hidden[::block], scores)


def attention_scores(model: FastBertModel, layer: int, hidden: Tensor) -> Tensor:
    """The scaled scores [b, heads, n, n] of layer number `layer` (from 1) whose input is `hidden` [b, n, hidden].

    Fused attention keeps no scores, so they are computed beside it, without dropout; padding has scores too.
    """
    attention = model.backbone.encoder.layer[layer - 1].attention.self
    b, n, _ = hidden.shape
    heads = model.backbone.config.num_attention_heads
    query, key = (part(hidden).view(b, n, heads, -1).transpose(1, 2) for part in (attention.query, attention.key))
    return query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5
