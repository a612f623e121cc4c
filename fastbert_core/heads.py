"""What sits on every layer: the paper's classifier (section 3.1), one of words, and how all of them are run."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap


class Classifier(nn.Module):
    """hidden→width, tanh, masked self-attention, width→width, tanh, width→classes, read at [CLS].

    Only [CLS] is read after the attention, so only its query is computed, and the key and value
    projections are folded onto the other side of the sum: the scores are (Wₖᵀq)·xᵢ and the result is
    Wᵥ·Σ aᵢxᵢ + bᵥ·Σ aᵢ. Both equal full attention exactly; the tests hold them against it.
    A key bias would add the same to every score and fall out of the softmax, so there is none.
    Shape and activations: the authors' code (tanh after the first layer, no residual, no LayerNorm).
    """

    def __init__(self, hidden: int, classes: int, width: int = 128, heads: int = 2, dropout: float = 0.1) -> None:
        super().__init__()
        self.heads = heads
        self.reduce = nn.Linear(hidden, width)
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width)
        self.mix = nn.Linear(width, width)
        self.dense = nn.Linear(width, width)
        self.output = nn.Linear(width, classes)
        self.dropout = nn.Dropout(dropout)

    @property
    def first(self) -> nn.Linear:
        """What reads hidden states."""
        return self.reduce

    def forward(self, hidden: Tensor, mask: Tensor | None = None) -> Tensor:
        """Logits [batch, classes] from `hidden` [batch, tokens, hidden].

        `mask` [batch, tokens] is True at real tokens; None means that nothing is padded.
        """
        x = torch.tanh(self.reduce(hidden))  # [b, n, w]
        b, _, w = x.shape
        h, d = self.heads, w // self.heads
        query = self.query(x[:, 0]).view(b, h, d).transpose(0, 1) / d**0.5  # [h, b, d]
        # The key projection, applied to one query instead of n keys.
        query = torch.bmm(query, self.key.weight.view(h, d, w)).transpose(0, 1)  # [b, h, w]
        scores = _scores(query, x, mask)
        attention = self.dropout(scores.float().softmax(dim=-1).to(x.dtype))  # [b, h, n]
        pooled = torch.bmm(attention, x).transpose(0, 1)  # [h, b, w]
        # The value projection, applied to one weighted sum instead of n values. Dropout leaves
        # attention rows that do not sum to 1, so the value bias is weighted by their sum.
        context = torch.bmm(pooled, self.value.weight.view(h, d, w).transpose(1, 2)).transpose(0, 1)  # [b, h, d]
        context = context + self.value.bias.view(h, d) * attention.sum(dim=-1, keepdim=True)
        return self.output(torch.tanh(self.dense(self.mix(context.reshape(b, w)))))


class Folded(nn.Module):
    """A classifier that predicts: what is linear from one tanh to the next is one product, in half of the operations.

    Of so few numbers a product takes hardly longer than its dispatch. Without dropout attention sums to one, so nothing
    is lost: logits are the classifier's within rounding. Its first layer is the classifier's own.
    """

    @torch.no_grad()
    def __init__(self, head: Classifier) -> None:
        super().__init__()
        self.heads, self.reduce, self.output = head.heads, head.first, head.output
        w, h, d = head.query.out_features, head.heads, head.query.out_features // head.heads
        key, query = (layer.weight.double().view(h, d, w) for layer in (head.key, head.query))
        # Scores are xᵢ·Wₖᵀ(W_q x₀ + b_q) / √d, for each head.
        scaled = key.transpose(1, 2) / d**0.5  # [h, w, d]
        self.ask = _linear((scaled @ query).flatten(0, 1), (scaled @ head.query.bias.double().view(h, d, 1)).flatten())
        # What comes of a head's Σ aᵢxᵢ before the last tanh: its share of dense(mix(value)).
        after = head.dense.weight.double() @ head.mix.weight.double()  # [w, h * d]
        value = head.value.weight.double().view(h, d, w)
        shares = torch.bmm(after.view(w, h, d).transpose(0, 1), value)  # [h, w, w]
        fixed = after @ head.value.bias.double() + head.dense.weight.double() @ head.mix.bias.double()
        self.answer = _linear(shares.transpose(0, 1).flatten(1), fixed + head.dense.bias.double())

    def forward(self, hidden: Tensor, mask: Tensor | None = None) -> Tensor:
        """Logits [batch, classes] from `hidden` [batch, tokens, hidden] and the mask of a Classifier."""
        x = torch.tanh(self.reduce(hidden))  # [b, n, w]
        b, _, w = x.shape
        scores = _scores(self.ask(x[:, 0]).view(b, self.heads, w), x, mask)
        pooled = torch.bmm(scores.softmax(dim=-1), x)  # [b, h, w]
        return self.output(torch.tanh(self.answer(pooled.view(b, self.heads * w))))


def _scores(query: Tensor, x: Tensor, mask: Tensor | None) -> Tensor:
    """Each head's query [batch, heads, width] against all tokens, [batch, heads, tokens]; padding scores nothing."""
    scores = torch.bmm(query, x.transpose(1, 2))
    return scores if mask is None else scores.masked_fill(~mask[:, None, :], float("-inf"))


def _linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    """A float32 layer of these, which does not learn."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], device=weight.device)
    layer.weight.copy_(weight)
    layer.bias.copy_(bias)
    return layer.requires_grad_(False)


class TokenClassifier(nn.Module):
    """dropout, hidden→classes at every token: for words, each of which has a label of its own."""

    def __init__(self, hidden: int, classes: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(hidden, classes)

    @property
    def first(self) -> nn.Linear:
        """What reads hidden states."""
        return self.output

    def forward(self, hidden: Tensor, mask: Tensor | None = None) -> Tensor:
        """Logits [batch, tokens, classes] from `hidden` [batch, tokens, hidden]; no token looks at others."""
        return self.output(self.dropout(hidden))


def logits_of_each(heads: Sequence[nn.Module], hidden: Tensor, mask: Tensor | None) -> Sequence[Tensor]:
    """Logits of classifiers of one shape, each of its own `hidden`, of [heads, batch, tokens, hidden].

    A GPU waits for the host between operations so small, and has those of all heads in one there: the same within
    rounding, with other random numbers for dropout.
    """
    if hidden.device.type == "cpu":
        return [head(states, mask) for head, states in zip(heads, hidden, strict=True)]
    return _in_one(heads, hidden, mask)


def _in_one(heads: Sequence[nn.Module], hidden: Tensor, mask: Tensor | None) -> Tensor:
    weights = {
        name: torch.stack([head.get_parameter(name) for head in heads]) for name, _ in heads[0].named_parameters()
    }
    return vmap(lambda own, states: functional_call(heads[0], own, (states, mask)), randomness="different")(
        weights, hidden
    )
