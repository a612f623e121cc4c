"""What a shallow student and its deep teacher compute on the way to an answer, layer beside layer (PKD, TinyBERT)."""

from torch import Tensor

from fastbert_core.encoding import Batch
from fastbert_core.errors import InputError
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
    return States([model.read(states, batch.mask) for states in hidden[::block]], scores)


def attention_scores(model: FastBertModel, layer: int, hidden: Tensor) -> Tensor:
    """The scaled scores [b, heads, n, n] of layer number `layer` (from 1) whose input is `hidden` [b, n, hidden].

    Fused attention keeps no scores, so they are computed beside it, without dropout; padding has scores too. Raises
    InputError for families whose scores are more than products of queries and keys.
    """
    family, config = model.family, model.backbone.config
    if family.query_and_key is None:
        raise InputError(f"model: found one of family {config.model_type}, expected one with BERT's attention scores")
    b, n, _ = hidden.shape
    parts = (family.layers(model.backbone)[layer - 1].get_submodule(name) for name in family.query_and_key)
    query, key = (part(hidden).view(b, n, config.num_attention_heads, -1).transpose(1, 2) for part in parts)
    return query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5
