"""A model as an engine runs it: cast to 16 bits, or its backbone's linear layers quantised to 8; classifiers folded."""

import copy
import warnings

import torch
from torch import Tensor, nn
from torch.ao.nn.quantized import dynamic
from torch.ao.quantization import per_channel_dynamic_qconfig, quantize_dynamic

from fastbert_core.heads import Classifier, Folded
from fastbert_core.model import FastBertModel
from fastbert_core.precision import multiplies_int8

TINY = 1e-12  # inputs that are all 0 stay 0
DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def in_precision(model: FastBertModel, precision: str, device: torch.device) -> FastBertModel:
    """`model` in `precision`, as `resolve_precision` gives it, on `device`; itself where it is that already.

    Of 16 bits are the backbone and each classifier's first layer, which read hidden states. What follows is small: a
    CPU is faster at it in float32, since oneDNN makes a kernel for each shape of a product of 16 bits.
    """
    there = model.device.type == device.type and device.index in (None, model.device.index)
    if precision == "fp32" and there and model.dtype == torch.float32:
        return model
    model = copy.deepcopy(model).to(device, torch.float32)
    if precision == "int8":
        quantise(model.backbone.eval())
    elif precision in DTYPES:
        for weights in model.backbone.parameters():  # no buffers: frequencies of rotary positions lose theirs
            weights.data = weights.data.to(DTYPES[precision])
        for classifier in model.classifiers:
            classifier.first.to(DTYPES[precision])
            classifier.first.__class__ = Widened
    return model


def folded(model: FastBertModel) -> FastBertModel:
    """A model whose classifiers are Folded and which shares all else with `model`; both evaluate from now on."""
    twin = copy.copy(model.eval())
    twin._modules = dict(model._modules)
    twin.classifiers = nn.ModuleList(
        Folded(head) if isinstance(head, Classifier) else head for head in model.classifiers
    )
    return twin.eval()


class Widened(nn.Linear):
    """A linear layer of 16 bits whose outputs are float32."""

    def forward(self, x: Tensor) -> Tensor:
        """[..., inputs] -> [..., outputs]."""
        return super().forward(x).float()


def quantise(backbone: nn.Module) -> None:
    """Let linear layers multiply in int8, in place: weights by output channel, activations as they come.

    By torch.ao, whose kernels (oneDNN's where the CPU adds up int8 in hardware, else FBGEMM's) run layer by layer. Its
    successor torchao needs a compiler to be any faster than fp32 (seen on AMX), so this goes when torch.ao does.
    """
    sizes = {name: _even_out(each) for name, each in backbone.named_modules() if type(each) is nn.Linear}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its deprecation: torch's version is pinned
        engine = torch.backends.quantized.engine
        torch.backends.quantized.engine = "onednn" if multiplies_int8() else "x86"
        try:
            quantize_dynamic(backbone, {nn.Linear: per_channel_dynamic_qconfig}, inplace=True)
            for name, size in sizes.items():
                ByToken.adopt(backbone.get_submodule(name), size)
        finally:
            torch.backends.quantized.engine = engine


@torch.no_grad()
def _even_out(layer: nn.Linear) -> Tensor:
    """Divide the weights of each input by their size beside those of other inputs, and return it, [inputs].

    Inputs are to be multiplied by it. A few inputs of a fine-tuned BERT have weights many times larger than the others,
    which would all be rounded to the same few steps.
    """
    of_outputs = layer.weight / layer.weight.abs().amax(dim=1, keepdim=True).clamp_(min=TINY)
    size = of_outputs.square().mean(dim=0).sqrt().clamp_(min=TINY)
    layer.weight /= size
    return size


class ByToken(dynamic.Linear):
    """torch.ao's layer, whose activations have a scale for each token: it has one for all tokens of a batch.

    Each token's inputs are divided by the largest, so that one scale fits all; outputs are multiplied by it. So an
    answer hardly depends on the batch it is in, and a token of large inputs does not round away all others'.
    """

    @classmethod
    def adopt(cls, module: dynamic.Linear, size: Tensor) -> None:
        """Make `module`, whose inputs are to be multiplied by `size`, one of these, in its place."""
        weight, bias = module._packed_params._weight_bias()
        module.set_weight_bias(weight, None)  # added after the outputs are multiplied
        module.__class__ = cls
        module.added, module.size = bias, size
        module.seven_bits = not multiplies_int8()  # for CPUs where sums of two products overflow 16 bits

    def forward(self, x: Tensor) -> Tensor:
        """[..., inputs] -> [..., outputs], in float32."""
        x = x * self.size
        scale = x.abs().amax(dim=-1, keepdim=True).clamp_(min=TINY)
        y = torch.ops.quantized.linear_dynamic(x.div_(scale), self._packed_params._packed_params, self.seven_bits)
        return y.mul_(scale) if self.added is None else torch.addcmul(self.added, y, scale)
