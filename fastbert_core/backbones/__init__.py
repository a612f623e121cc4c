"""Backbones: how the encoders of a family run layer by layer, and what a layer costs. One file a family.

Nothing here imports torch or transformers before a model runs, so that tables and figures count FLOPs without them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from fastbert_core.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedConfig, PreTrainedModel


class Operation(NamedTuple):
    """One operation of a layer; its multiply-accumulates for n tokens are once + per_token · n + per_pair · n².

    linear: whether it is a linear layer, with weights, which alone the paper's unit counts
    """

    block: str
    name: str
    once: int = 0
    per_token: int = 0
    per_pair: int = 0
    linear: bool = True

    def macs(self, tokens: int) -> int:
        """Multiply-accumulates of one execution on `tokens` tokens (an integer, or an integer array of any shape)."""
        return self.once + self.per_token * tokens + self.per_pair * tokens * tokens


class Sizes(Protocol):
    """What the cost of a layer follows from: an EncoderShape (fastbert_core.flops), or what has the same."""

    hidden: int
    intermediate: int
    heads: int
    extra: dict[str, int]


class Family:
    """A family of encoders; what a subclass does not say otherwise is as in BERT. Layers count from 1.

    stack: where in the model its layers are
    intermediate: what the configuration calls the width between the feed-forward matrices
    pooler: whether transformers puts a pooler on it unless told otherwise
    segments: whether its embeddings know which text of a pair a token is of
    sdpa: whether transformers has more than eager attention for it
    cls_first: whether its tokenizers put [CLS] before a text; if not, after it
    query_and_key: where in a layer these projections are; None where scores are more than products of them
    pooled: whether the engine can re-form its batches: whether `context` follows from `hidden` and `mask` alone
    """

    stack = "encoder.layer"
    intermediate = "intermediate_size"
    pooler = True
    segments = True
    sdpa = True
    cls_first = True
    query_and_key: tuple[str, str] | None = ("attention.self.query", "attention.self.key")
    pooled = True

    def embed(self, model: PreTrainedModel, ids: Tensor, types: Tensor | None) -> Tensor:
        """Embeddings [batch, tokens, hidden] of token ids and, where there are any, segments: both [batch, tokens].

        An encoder of one segment has all in that: a tokenizer of BERT's kind may count two.
        """
        if not self.segments:
            return model.embeddings(input_ids=ids)
        return model.embeddings(input_ids=ids, token_type_ids=None if model.config.type_vocab_size == 1 else types)

    def context(self, model: PreTrainedModel, hidden: Tensor, mask: Tensor | None, types: Tensor | None = None) -> Any:
        """What all layers take beside `hidden` [batch, tokens, hidden]: BERT's attention mask, or None.

        mask: bool [batch, tokens], True at real tokens, or None where nothing is padded. The engine makes a context
        anew for every batch that it re-forms, so it may depend on the samples of a batch, and on its width.
        """
        from transformers.masking_utils import create_bidirectional_mask

        if mask is None:
            return None
        return create_bidirectional_mask(config=model.config, inputs_embeds=hidden, attention_mask=mask)

    def layer(self, model: PreTrainedModel, number: int, hidden: Tensor, context: Any) -> Tensor:
        """Hidden states [batch, tokens, hidden] after layer `number`, which takes those before it."""
        return self.layers(model)[number - 1](hidden, context)

    def read(self, model: PreTrainedModel, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """What a classifier reads of a layer's hidden states, [CLS] first, and real tokens where `mask` is True."""
        return hidden

    def layers(self, model: PreTrainedModel) -> nn.ModuleList:
        """The model's layers."""
        return model.get_submodule(self.stack)

    def cut(self, model: PreTrainedModel, block: int) -> None:
        """Leave the model the first of every `block` layers, and its configuration their number."""
        kept = self.layers(model)[::block]
        model.set_submodule(self.stack, kept)
        model.config.num_hidden_layers = len(kept)

    def padding(self, config: PreTrainedConfig) -> int | None:
        """The token that must be the tokenizer's padding, since positions are counted without it; None if any may."""
        return None

    def longest(self, config: PreTrainedConfig) -> int:
        """Tokens of the longest text that the encoder reads."""
        return config.max_position_embeddings

    def sizes(self, config: PreTrainedConfig) -> dict[str, int]:
        """The sizes, beside those that every encoder has, that `operations` finds as its `extra`."""
        width = getattr(config, "embedding_size", config.hidden_size)
        return {} if width == config.hidden_size else {"embedding": width}

    def operations(self, shape: Sizes, first: bool) -> list[Operation]:
        """What a layer executes, with what comes before it if it is the `first`; all other layers are alike."""
        h, i, e = shape.hidden, shape.intermediate, shape.extra.get("embedding")
        before = [Operation("Embeddings", f"Projection ({e}->{h})", per_token=e * h)] if e and first else []
        return [
            *before,
            Operation("Transformer", f"Self-attention ({h}->{h})", per_token=4 * h * h),
            Operation("Transformer", "Attention products", per_pair=2 * h, linear=False),
            Operation("Transformer", f"Feedforward ({h}->{i}->{h})", per_token=2 * h * i),
        ]


FAMILIES: Registry[Family] = Registry("encoder family", __name__)  # by transformers' `model_type`
