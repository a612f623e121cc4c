"""FastBERT: a BERT-family backbone with a student classifier on every layer but the last, the teacher's on that."""

import copy
import re
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel
from transformers.masking_utils import create_bidirectional_mask

from fastbert_core.classifier import Classifier
from fastbert_core.errors import InputError, reason

# Families whose models are `embeddings` and a plain `encoder.layer` stack of post-norm layers.
BACKBONE_FAMILIES = ("bert", "roberta")
# Names of weights within the encoder, whatever model it was saved as a part of; others are a pooler's or a head's.
WITHIN = re.compile(r"(^|\.)(embeddings|encoder)\.")


class FastBertConfig(PreTrainedConfig):
    """What a FastBERT is built from: the backbone's own configuration, the classes, the classifiers' size.

    `backbone` is the backbone's configuration as a dict. Class names go where Hugging Face keeps them,
    `id2label`, so `num_labels` follows from them.
    """

    model_type = "fastbert"

    backbone: dict | None = None
    classifier_width: int = 128
    classifier_heads: int = 2
    classifier_dropout: float = 0.1

    @property
    def backbone_config(self) -> PreTrainedConfig:
        """The backbone's configuration as an object. Raises InputError unless it is of the BERT family."""
        return bert_family(AutoConfig.for_model(**(self.backbone or {"model_type": "bert"})), "backbone")

    @property
    def class_names(self) -> list[str]:
        """Class names in label order."""
        return [self.id2label[label] for label in range(self.num_labels)]


def bert_family(config: PreTrainedConfig, name: str | Path) -> PreTrainedConfig:
    """Return `config`; raise InputError, naming `name`, unless it is a BERT-family encoder's."""
    if config.model_type not in BACKBONE_FAMILIES:
        expected = " or ".join(BACKBONE_FAMILIES)
        raise InputError(f"{name}: found a model of type {config.model_type!r}, expected {expected}")
    return config


class FastBertModel(PreTrainedModel):
    """The backbone and its classifiers; `classifiers[:-1]` are the students, `classifiers[-1]` is the teacher.

    `from_pretrained` and `save_pretrained` are Hugging Face's (safetensors); `from_backbone` puts new
    classifiers on a pre-trained encoder. Source: paper, section 3.1 and figure 2.
    """

    config_class = FastBertConfig
    _supports_sdpa = True

    def __init__(self, config: FastBertConfig, backbone: PreTrainedModel | None = None) -> None:
        super().__init__(config)
        if backbone is None:
            backbone = AutoModel.from_config(
                config.backbone_config, add_pooling_layer=False, attn_implementation=config._attn_implementation
            )
        self.backbone = backbone
        self.classifiers = nn.ModuleList(
            Classifier(
                backbone.config.hidden_size,
                config.num_labels,
                config.classifier_width,
                config.classifier_heads,
                config.classifier_dropout,
            )
            for _ in range(backbone.config.num_hidden_layers)
        )
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """PyTorch's own initialisation of the classifiers' layers, as in the authors' code; backbones have theirs.

        BERT's normal(0, 0.02) lets a thousandth of the signal through five layers of width 128, and the
        teacher stays at chance for hundreds of steps.
        """
        if isinstance(module, nn.Linear):
            module.reset_parameters()

    @classmethod
    def from_backbone(cls, source: str | Path, class_names: list[str] | tuple[str, ...]) -> "FastBertModel":
        """A FastBERT with fresh classifiers on the pre-trained encoder at `source` (folder or hub id), in float32.

        Raises InputError if `source` is no BERT-family encoder or cannot be read. Fresh weights come from
        torch's random state.
        """
        return cls._around(load_backbone(source), class_names)

    def first_of_blocks(self, layers: int) -> "FastBertModel":
        """A FastBERT of fewer layers, with this one's weights: of `layers` equal blocks, the first layer of each.

        So 6 of 12 are layers 1, 3, 5, 7, 9, 11, as DistilBERT takes them. Raises InputError unless
        `layers` divides the number of layers.
        """
        if layers < 1 or self.layers % layers:
            raise InputError(f"layers: found {layers}, expected a divisor of {self.layers}")
        backbone = copy.deepcopy(self.backbone)
        block = self.layers // layers
        backbone.encoder.layer = backbone.encoder.layer[::block]
        backbone.config.num_hidden_layers = layers
        sizes = {name: getattr(self.config, f"classifier_{name}") for name in ("width", "heads", "dropout")}
        compact = self._around(backbone, self.config.class_names, **sizes)
        compact.teacher.load_state_dict(self.teacher.state_dict())
        return compact.to(self.device)

    @classmethod
    def from_config(cls, backbone: PreTrainedConfig, class_names: list[str] | tuple[str, ...]) -> "FastBertModel":
        """A FastBERT of random weights from a backbone's configuration, as the smoke profile uses it."""
        encoder = AutoModel.from_config(bert_family(backbone, "backbone"), add_pooling_layer=False)
        return cls._around(encoder, class_names)

    @classmethod
    def _around(
        cls, backbone: PreTrainedModel, class_names: list[str] | tuple[str, ...], **sizes: float
    ) -> "FastBertModel":
        """New classifiers on `backbone`; `sizes`: their width, heads and dropout, where they are not the default."""
        config = FastBertConfig(
            **{f"classifier_{name}": size for name, size in sizes.items()},
            backbone=backbone.config.to_dict(),
            id2label=dict(enumerate(class_names)),
            label2id={name: label for label, name in enumerate(class_names)},
        )
        return cls(config, backbone)

    @property
    def layers(self) -> int:
        """Number of Transformer layers, which is the number of classifiers."""
        return len(self.classifiers)

    @property
    def teacher(self) -> Classifier:
        """The classifier of the last layer."""
        return self.classifiers[-1]

    @property
    def students(self) -> nn.ModuleList:
        """The classifiers of all layers but the last."""
        return self.classifiers[:-1]

    def embed(self, input_ids: Tensor, token_type_ids: Tensor | None = None) -> Tensor:
        """Embeddings [batch, tokens, hidden] of token ids [batch, tokens].

        An encoder of one segment, as RoBERTa is, has them all in that: a tokenizer of BERT's kind may count two.
        """
        if self.backbone.config.type_vocab_size == 1:
            token_type_ids = None
        return self.backbone.embeddings(input_ids=input_ids, token_type_ids=token_type_ids)

    def attention_mask(self, hidden: Tensor, mask: Tensor | None) -> Tensor | None:
        """What the encoder's layers take as mask, in the form their attention implementation wants.

        `mask` [batch, tokens] is True at real tokens; None (in or out) means that nothing is padded.
        """
        if mask is None:
            return None
        return create_bidirectional_mask(config=self.backbone.config, inputs_embeds=hidden, attention_mask=mask)

    def run_layer(self, layer: int, hidden: Tensor, attention_mask: Tensor | None) -> Tensor:
        """Hidden states [batch, tokens, hidden] after layer number `layer` (from 1)."""
        return self.backbone.encoder.layer[layer - 1](hidden, attention_mask)

    def classify(self, layer: int, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """Logits [batch, classes] of the classifier on layer number `layer` (from 1)."""
        return self.classifiers[layer - 1](hidden, mask)

    def forward(
        self,
        input_ids: Tensor,
        mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        classified: tuple[int, ...] | None = None,
    ) -> Tensor:
        """Logits [batch, len(classified), classes] of the classifiers on the layers `classified` (default: all).

        `input_ids` and `token_type_ids` are [batch, tokens]; `mask` [batch, tokens] is True at real tokens.
        """
        classified = classified or tuple(range(1, self.layers + 1))
        hidden = self.embed(input_ids, token_type_ids)
        attention_mask = self.attention_mask(hidden, mask)
        logits = {}
        for layer in range(1, max(classified) + 1):
            hidden = self.run_layer(layer, hidden, attention_mask)
            if layer in classified:
                logits[layer] = self.classify(layer, hidden, mask)
        return torch.stack([logits[layer] for layer in classified], dim=1)


def load_backbone(source: str | Path) -> PreTrainedModel:
    """The bare encoder at `source` (folder or hub id) in float32.

    Raises InputError if it is none, or damaged, or if weights and config.json are not of one encoder: transformers
    would make up what is missing or of another shape, and pass over what is left. Heads upon the encoder may be.
    """
    try:
        bert_family(AutoConfig.from_pretrained(source, trust_remote_code=False), source)
        # Without `dtype`, transformers takes the one in config.json, which need not be float32.
        model, found = AutoModel.from_pretrained(
            source,
            add_pooling_layer=False,
            dtype=torch.float32,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are named below
        )
    except InputError:
        raise
    except Exception as error:  # transformers, safetensors and the hub client share no base class
        raise InputError(f"{source}: cannot be loaded as an encoder: {reason(error)}") from error
    if differing := sorted(found["mismatched_keys"]):
        name, stored, expected = differing[0][0], *(list(shape) for shape in differing[0][1:])
        raise InputError(f"{source}: found weights {name} of shape {stored}, expected {expected} as in config.json")
    if missing := sorted(found["missing_keys"]):
        raise InputError(f"{source}: found no weights of {len(missing)} parameters, such as {missing[0]}, expected all")
    if left := sorted(name for name in found["unexpected_keys"] if WITHIN.search(name)):
        found_left = f"found {len(left)} weights that config.json has no place for, such as {left[0]}"
        raise InputError(f"{source}: {found_left}, expected those of the encoder alone")
    return model
