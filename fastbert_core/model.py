"""FastBERT: an encoder with a student classifier on every layer but the last, and the teacher's on that."""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification, PreTrainedConfig, PreTrainedModel
from transformers.utils import ModelOutput

from fastbert_core.errors import InputError, refused
from fastbert_core.gradients import to_exit_and_on
from fastbert_core.loading import LOADING, bare, check_whole, family_of, load_backbone
from fastbert_core.losses import Targets
from fastbert_core.task_types import LABEL_SHARES, SINGLE, TASK_TYPES


class FastBertConfig(PreTrainedConfig):
    """What a FastBERT is built from: the backbone's own configuration, the classes, the classifiers' size.

    `backbone` is the backbone's configuration as a dict; `pair` says whether the model was trained on pairs of texts,
    or None where nobody knows; `max_tokens` is what texts were cut to; `task_type` is one of TASK_TYPES, and `scores`
    the least and the largest score of a regression. Class names go where Hugging Face keeps them, `id2label`, so
    `num_labels` follows from them.
    """

    model_type = "fastbert"

    backbone: dict | None = None
    classifier_width: int = 128
    classifier_heads: int = 2
    classifier_dropout: float = 0.1
    classifier_init: str = "xavier"
    pair: bool | None = None
    max_tokens: int = 128
    task_type: str = "single-label"
    scores: list | None = None

    @property
    def backbone_config(self) -> PreTrainedConfig:
        """The backbone's configuration as an object. Raises InputError unless it is of one of FAMILIES."""
        config = AutoConfig.for_model(**(self.backbone or {"model_type": "bert"}))
        family_of(config, "backbone")
        return config

    @property
    def class_names(self) -> list[str]:
        """Class names in label order."""
        return [self.id2label[label] for label in range(self.num_labels)]


@dataclass
class FastBertOutput(ModelOutput):
    """What a forward pass gives.

    loss: scalar, where labels were given
    logits: [batch, classes], of the last exit, the teacher
    exit_logits: [batch, layers, classes], of every exit, the teacher's last
    """

    loss: Tensor | None = None
    logits: Tensor | None = None
    exit_logits: Tensor | None = None


class FastBertModel(PreTrainedModel):
    """The backbone and its classifiers; `classifiers[:-1]` are the students, `classifiers[-1]` is the teacher.

    `save_pretrained` is Hugging Face's (safetensors); `from_backbone` puts new classifiers on a pre-trained encoder.
    Source: paper, section 3.1 and figure 2.
    """

    config_class = FastBertConfig
    _supports_sdpa = True

    def __init__(self, config: FastBertConfig, backbone: PreTrainedModel | None = None) -> None:
        super().__init__(config)
        encoder = config.backbone_config if backbone is None else backbone.config
        self.family, self.kind = family_of(encoder, "backbone"), TASK_TYPES[config.task_type]
        config.problem_type = self.kind.problem_type
        if backbone is None:
            backbone = AutoModel.from_config(
                encoder,
                attn_implementation=config._attn_implementation if self.family.sdpa else "eager",
                dtype=torch.get_default_dtype(),  # that of the model, or else it would be the one in its configuration
                **bare(self.family),
            )
        self.backbone = backbone
        hidden, layers = backbone.config.hidden_size, backbone.config.num_hidden_layers
        self.classifiers = nn.ModuleList(self.kind.head(hidden, config) for _ in range(layers))
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Initialise a classifier's layer as `classifier_init` says: Xavier's, or `pytorch` as in the authors' code.

        With PyTorch's default hardly any signal passes through five layers: logits start with a spread of 0.01
        across texts, where Xavier's uniform weights give 0.2. Backbones have their own initialisation.
        """
        if isinstance(module, nn.Linear):
            module.reset_parameters()
            if self.config.classifier_init != "pytorch":
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    @classmethod
    def from_pretrained(cls, source: str | Path, *arguments: Any, **options: Any) -> "FastBertModel":
        """A trained FastBERT, as Hugging Face's own, but in float32 where `dtype` names no other type.

        Raises InputError if `source` (folder or hub id) holds none, and as `check_whole` does.
        """
        asked = options.pop("output_loading_info", False)
        if not options.keys() & {"dtype", "torch_dtype"}:
            options["dtype"] = torch.float32
        with refused(f"{source}: cannot be loaded as a FastBERT: "):
            kind = cls.config_class.get_config_dict(source, **options)[0].get("model_type")
            if kind != FastBertConfig.model_type:
                expected = "one of type 'fastbert'; FastBertModel.from_backbone makes one of an encoder"
                raise InputError(f"{source}: found a model of type {kind!r}, expected {expected}")
            model, found = super().from_pretrained(source, *arguments, **options | LOADING)
        check_whole(source, found)
        return (model, found) if asked else model

    @classmethod
    def from_backbone(
        cls,
        source: str | Path,
        class_names: list[str] | tuple[str, ...],
        pair: bool | None = None,
        classifier_init: str = "xavier",
        labels: np.ndarray | None = None,
        task_type: str = SINGLE.name,
        scores: Sequence[float] | None = None,
    ) -> "FastBertModel":
        """A FastBERT with fresh classifiers on the pre-trained encoder at `source` (folder or hub id), in float32.

        class_names: in label order; pair: whether it will be trained on pairs of texts; classifier_init: `xavier`,
        `pytorch`, or `label-shares`, Xavier's weights, and each label begins at how often it holds in `labels`, 0 or 1
        [rows, classes]; task_type: one of TASK_TYPES; scores: the least and the largest of a regression. Fresh weights
        come from torch's random state. Raises InputError if `source` is no encoder of one of FAMILIES or cannot be
        read, and unless there are two or more class names, all different; of a regression one, the score's.
        """
        listed = isinstance(class_names, list | tuple) and all(isinstance(name, str) for name in class_names)
        if not listed or len(set(class_names)) < max(1 if scores else 2, len(class_names)):
            raise InputError(f"class_names: found {class_names!r}, expected a list of two or more different names")
        task = {"task_type": TASK_TYPES[task_type].name, "scores": None if scores is None else list(scores)}
        model = cls._around(load_backbone(source), class_names, pair=pair, classifier_init=classifier_init, **task)
        if classifier_init == LABEL_SHARES:
            model._begin_at_shares(labels)
        return model

    def first_of_blocks(self, layers: int) -> "FastBertModel":
        """A FastBERT of fewer layers, with this one's weights: of `layers` equal blocks, the first layer of each.

        So 6 of 12 are layers 1, 3, 5, 7, 9, 11, as DistilBERT takes them. Raises InputError unless
        `layers` divides the number of layers.
        """
        if layers < 1 or self.layers % layers:
            raise InputError(f"layers: found {layers}, expected a divisor of {self.layers}")
        backbone = copy.deepcopy(self.backbone)
        self.family.cut(backbone, self.layers // layers)
        settings = {name: getattr(self.config, name) for name in FastBertConfig.__annotations__ if name != "backbone"}
        compact = self._around(backbone, self.config.class_names, **settings)
        compact.teacher.load_state_dict(self.teacher.state_dict())
        return compact.to(self.device)

    @classmethod
    def _around(
        cls, backbone: PreTrainedModel, class_names: list[str] | tuple[str, ...], **settings: float | str | None
    ) -> "FastBertModel":
        """New classifiers on `backbone`; `settings`: of FastBertConfig, where they are not the default."""
        described = backbone.config.to_dict()
        described.pop("_name_or_path", None)  # the folder it was loaded from, true on one machine alone
        config = FastBertConfig(
            **settings,
            backbone=described,
            id2label=dict(enumerate(class_names)),
            label2id={name: label for label, name in enumerate(class_names)},
        )
        return cls(config, backbone)

    @property
    def layers(self) -> int:
        """Number of Transformer layers, which is the number of classifiers."""
        return len(self.classifiers)

    @property
    def teacher(self) -> nn.Module:
        """The classifier of the last layer."""
        return self.classifiers[-1]

    @torch.no_grad()
    def _begin_at_shares(self, labels: np.ndarray) -> None:
        """Let every classifier begin by saying how often each label holds.

        Else all begin at a half. To learn that nearly none holds, the first steps drive the encoder itself to one
        answer for all: of Reuters' 90 labels it then learns nine in ten epochs.
        """
        shares = torch.from_numpy((labels.sum(axis=0) + 1) / (len(labels) + 2))  # of a label that no row has not 0
        for classifier in self.classifiers:
            classifier.output.bias.copy_(shares.logit())

    def embed(self, input_ids: Tensor, token_type_ids: Tensor | None = None) -> Tensor:
        """Embeddings [batch, tokens, hidden] of token ids [batch, tokens]."""
        return self.family.embed(self.backbone, input_ids, token_type_ids)

    def context(self, hidden: Tensor, mask: Tensor | None, token_type_ids: Tensor | None = None) -> Any:
        """What the encoder's layers take beside hidden states: an attention mask, and what else a family has.

        `mask` [batch, tokens] is True at real tokens; None means that nothing is padded.
        """
        return self.family.context(self.backbone, hidden, mask, token_type_ids)

    def run_layer(self, layer: int, hidden: Tensor, context: Any) -> Tensor:
        """Hidden states [batch, tokens, hidden] after layer number `layer` (from 1)."""
        return self.family.layer(self.backbone, layer, hidden, context)

    def read(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """What classifiers take of a layer's hidden states, [CLS] first."""
        return self.family.read(self.backbone, hidden, mask)

    def classify(self, layer: int, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """Logits [batch, classes] of the classifier on layer `layer` (from 1); of words [batch, tokens, classes]."""
        return self.classifiers[layer - 1](self.read(hidden, mask), mask)

    def hidden_states(
        self,
        input_ids: Tensor,
        mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        gradients: str = "sum",
    ) -> Iterator[Tensor]:
        """The embeddings, then the states of every layer, [batch, tokens, hidden] each, computed as they are asked for.

        `input_ids` and `token_type_ids` are [batch, tokens]; `mask` [batch, tokens] is True at real tokens;
        `gradients`: how those of the exits meet in a layer, one of GRADIENTS.
        """
        hidden = self.embed(input_ids, token_type_ids)
        context = self.context(hidden, mask, token_type_ids)
        yield hidden
        for layer in range(1, self.layers + 1):
            hidden = self.run_layer(layer, hidden, context)
            at_exit, hidden = to_exit_and_on(hidden, gradients, self.layers - layer)
            yield at_exit

    def exit_logits(
        self,
        input_ids: Tensor,
        mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        layers: tuple[int, ...] | None = None,
        gradients: str = "sum",
    ) -> Tensor:
        """Logits [batch, len(layers), classes] of the classifiers on the given layers (default: all).

        Of classifiers of words they are [batch, len(layers), tokens, classes].
        The other arguments are those of `hidden_states`; no layer above the last that is asked runs.
        """
        layers = layers or tuple(range(1, self.layers + 1))
        states = islice(self.hidden_states(input_ids, mask, token_type_ids, gradients), max(layers) + 1)
        logits = {layer: self.classify(layer, hidden, mask) for layer, hidden in enumerate(states) if layer in layers}
        return torch.stack([logits[layer] for layer in layers], dim=1)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        labels: Tensor | None = None,
        return_dict: bool | None = None,
    ) -> FastBertOutput | tuple[Tensor, ...]:
        """All exits, in Hugging Face's names and forms, so that `pipeline` and `Trainer` can use the model.

        Args: `input_ids`, `attention_mask` (1 at real tokens) and `token_type_ids` [batch, tokens], `labels` [batch],
        or of words [batch, tokens], below 0 at tokens that begin none.
        Returns a FastBertOutput, or a tuple of what it holds where `return_dict` is False. The loss is that of the
        training `labels`: cross entropy summed over the exits; self-distillation is `fastbert_core.train`'s.
        """
        real = None if attention_mask is None else attention_mask.bool()
        exits = self.exit_logits(input_ids, None if real is None or real.all() else real, token_type_ids)
        loss = None
        if labels is not None:
            said = exits
            if self.kind.of_words:
                said, labels = exits.transpose(1, 2)[labels >= 0], labels[labels >= 0]
            loss = self.kind.losses["cross-entropy"](said, Targets(labels))
        output = FastBertOutput(loss, exits[:, -1], exits)
        return output.to_tuple() if return_dict is False else output


AutoConfig.register(FastBertConfig.model_type, FastBertConfig)
AutoModel.register(FastBertConfig, FastBertModel)
AutoModelForSequenceClassification.register(FastBertConfig, FastBertModel)
