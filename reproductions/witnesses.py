"""Two independent counters of what modules execute, each with its own conventions: the analytic count's witnesses.

fvcore traces the module. It counts 1 for each multiply-accumulate, and LayerNorm as 5 for each element; it omits
scaled_dot_product_attention. `torch.utils.flop_counter` watches the operators that run. It counts 2 for each
multiply-accumulate, no LayerNorm, and nothing for scaled_dot_product_attention on a CPU.
Neither counts embedding look-ups, biases, softmax, tanh or GELU.
"""

from collections import Counter
from collections.abc import Iterable

import numpy as np
import torch
from fvcore.nn import FlopCountAnalysis
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from transformers import BertConfig

from fastbert_core.flops import FLOPS_PER_MAC, EncoderShape
from fastbert_core.heads import Classifier
from fastbert_core.model import FastBertConfig, FastBertModel

Counts = dict[str, Counter]  # module name ("" is the whole) -> operator -> count
Pair = np.ndarray  # int64 [2]: fvcore's count and torch's


class PaperClassifier(Classifier):
    """The paper's classifier, executed as the paper's unit prices it: full self-attention over all tokens, no folding.

    The same weights as Classifier and, in eval mode, the same function; the second fully-connected layer sees [CLS]
    alone, as in the authors' code.
    """

    def forward(self, hidden: Tensor, mask: Tensor | None = None) -> Tensor:
        """Logits [batch, classes] from `hidden` [batch, tokens, hidden]; `mask` [batch, tokens] as in Classifier."""
        x = torch.tanh(self.reduce(hidden))  # [b, n, w]
        query, key, value = (
            part(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (self.query, self.key, self.value)
        )  # [b, h, n, d]
        scores = query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5  # [b, h, n, n]
        if mask is not None:
            scores = scores.masked_fill(~mask[:, None, None, :], float("-inf"))
        context = (scores.softmax(dim=-1) @ value).transpose(1, 2).flatten(-2)  # [b, n, w]
        return self.output(torch.tanh(self.dense(self.mix(context)[:, 0])))


class Executed(nn.Module):
    """A FastBERT run as far as its last layer of `classified`, with the classifiers on these layers alone.

    (1, …, k) is a FastBERT whose samples leave at layer k; (L,) is the dense model.
    """

    def __init__(self, model: FastBertModel, classified: Iterable[int]) -> None:
        super().__init__()
        self.model = model
        self.classified = tuple(classified)

    def forward(self, input_ids: Tensor) -> Tensor:
        """Logits [batch, len(classified), classes] from token ids [batch, tokens]."""
        return self.model.exit_logits(input_ids, layers=self.classified)


def by_fvcore(module: nn.Module, *inputs: Tensor) -> FlopCountAnalysis:
    """fvcore's analysis of one forward pass, which says nothing of what it leaves out."""
    return FlopCountAnalysis(module, inputs).unsupported_ops_warnings(False).uncalled_modules_warnings(False)


def count_fvcore(module: nn.Module, *inputs: Tensor) -> Counts:
    """fvcore's count of one forward pass, by module and operator, in multiply-accumulates."""
    return by_fvcore(module, *inputs).by_module_and_operator()


def count_torch(module: nn.Module, *inputs: Tensor) -> Counts:
    """FlopCounterMode's count of one forward pass, by module and operator, in FLOPs."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(*inputs)
    root = type(module).__name__
    return {
        name.removeprefix(root).removeprefix("."): Counter({operator.__name__: n for operator, n in counts.items()})
        for name, counts in counter.get_flop_counts().items()
        if name != "Global"
    }


def linear_flops(module: nn.Module, *inputs: Tensor) -> dict[str, Pair]:
    """Both witnesses' counts, in the paper's unit, of each executed linear layer by its name in `module`.

    By layer, not by operator: whether torch runs a linear layer as addmm or mm depends on its input's memory layout.
    """
    fvcore, by_torch = count_fvcore(module, *inputs), count_torch(module, *inputs)
    return {
        name: np.array([FLOPS_PER_MAC * sum(fvcore[name].values()), sum(by_torch[name].values())])
        for name, part in module.named_modules()
        if isinstance(part, nn.Linear) and name in by_torch
    }


def fastbert(shape: EncoderShape, classes: int, attention: str = "eager", device: str = "meta") -> FastBertModel:
    """A FastBERT of `shape` in eval mode. On the device "meta" it has no weights and computes nothing, yet counts as
    elsewhere; on any other its weights are zeros."""
    backbone = BertConfig(
        vocab_size=32,
        num_hidden_layers=shape.layers,
        hidden_size=shape.hidden,
        intermediate_size=shape.intermediate,
        num_attention_heads=shape.heads,
        max_position_embeddings=shape.max_tokens,
    )
    config = FastBertConfig(
        backbone=backbone.to_dict(),
        classifier_width=shape.classifier,
        classifier_heads=shape.classifier_heads,
        num_labels=classes,
        attn_implementation=attention,
    )
    with torch.device("meta"):
        model = FastBertModel(config).eval()
    if device != "meta":
        model.to_empty(device=device)
        for tensor in (*model.parameters(), *model.buffers()):
            tensor.data.zero_()
    return model


def with_paper_classifiers(model: FastBertModel) -> FastBertModel:
    """The same FastBERT, its classifiers executed as the paper's unit prices them."""
    for classifier in model.classifiers:
        classifier.__class__ = PaperClassifier
    return model
