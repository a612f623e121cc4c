"""How the gradients of a model's exits meet on their way down: as a sum, as a mean, or not at all."""

from torch import Tensor

GRADIENTS = ("sum", "mean", "own")


def to_exit_and_on(hidden: Tensor, gradients: str, above: int) -> tuple[Tensor, Tensor]:
    """The states of a layer, for its exit and for the next layer; the values are those of `hidden`.

    gradients: what the layer learns of its own exit and those above it: `sum`, plain backpropagation; `mean`, which
        is gradient equilibrium (Li et al. 2019, ElasticBERT); `own`, its own exit alone (SWEET)
    above: how many exits lie above this layer's
    """
    if gradients == "own":
        return hidden, hidden.detach()
    if gradients == "mean":  # what comes from above is a mean over `above` exits by then
        hidden = _scaled(hidden, 1 / (above + 1))
        return hidden, _scaled(hidden, above)
    return hidden, hidden


def _scaled(hidden: Tensor, factor: float) -> Tensor:
    """The states as they are; their gradient times a factor."""
    hidden = hidden.view_as(hidden)
    if hidden.requires_grad:
        hidden.register_hook(lambda gradient: factor * gradient)
    return hidden
