"""How the gradients of a model's exits meet on their way down: as a sum, as a mean, or not at all."""

import torch
from torch import Tensor

GRADIENTS = ("sum", "mean", "own")


class _Scaled(torch.autograd.Function):
    """Its input as it is; its gradient times a factor."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, hidden: Tensor, factor: float) -> Tensor:
        ctx.factor = factor
        return hidden.view_as(hidden)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, gradient: Tensor) -> tuple[Tensor, None]:
        return ctx.factor * gradient, None


def to_exit_and_on(hidden: Tensor, gradients: str, above: int) -> tuple[Tensor, Tensor]:
    """The states of a layer, for its exit and for the next layer; the values are those of `hidden`.

    gradients: what the layer learns of its own exit and those above it: `sum`, plain backpropagation; `mean`, which
        is gradient equilibrium (Li et al. 2019, ElasticBERT); `own`, its own exit alone (SWEET)
    above: how many exits lie above this layer's
    """
    if gradients == "own":
        return hidden, hidden.detach()
    if gradients == "mean":  # what comes from above is a mean over `above` exits by then
        hidden = _Scaled.apply(hidden, 1 / (above + 1))
        return hidden, _Scaled.apply(hidden, above)
    return hidden, hidden
