"""What a fine-tuned classifier of Hugging Face's form says, which exits learn to say: classes and soft labels."""

import re
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel

from fastbert_core.encoding import Encoded, collate, sorted_batches
from fastbert_core.errors import InputError, refused
from fastbert_core.loading import LOADING, check_whole

NO_NAME = re.compile(r"LABEL_\d+")  # what transformers calls a class that nobody has named


def classes_of_classifier(source: Path) -> tuple[str, ...]:
    """Its classes in label order, numbers from 0 where nobody named them. Raises InputError if it is no classifier."""
    with refused(f"{source}: found ", ", expected a classifier's configuration"):
        config = AutoConfig.from_pretrained(source, trust_remote_code=False)
    kinds = config.architectures or ["nothing"]
    if not any(kind.endswith("ForSequenceClassification") for kind in kinds):
        raise InputError(f"{source}: found {', '.join(kinds)}, expected a model for sequence classification")
    if config.num_labels < 2 or config.problem_type not in (None, "single_label_classification"):
        found = f"{source}: found {config.num_labels} outputs of {config.problem_type or 'one score'}"
        raise InputError(f"{found}, expected a classifier that names one of two classes or more")
    names = tuple(config.id2label[label] for label in range(config.num_labels))
    return tuple(map(str, range(len(names)))) if all(NO_NAME.fullmatch(name) for name in names) else names


def load_classifier(source: Path, device: torch.device) -> PreTrainedModel:
    """The classifier in a folder, in float32. Raises InputError if it cannot be loaded whole."""
    with refused(f"{source}: cannot be loaded as a classifier: "):
        model, found = AutoModelForSequenceClassification.from_pretrained(
            source, dtype=torch.float32, trust_remote_code=False, **LOADING
        )
    check_whole(source, found)
    return model.eval().to(device)


@torch.inference_mode()
def soft_labels(classifier: PreTrainedModel, encoded: Encoded, pad_id: int) -> np.ndarray:
    """Its class probabilities, float32 [samples, classes]."""
    output = np.empty((len(encoded), classifier.config.num_labels), np.float32)
    segments = getattr(classifier.config, "type_vocab_size", 1) > 1
    with tqdm(total=len(encoded), desc="soft labels", unit="sample", disable=None) as bar:
        for rows in sorted_batches(encoded.lengths):
            batch = collate(encoded, rows, pad_id, classifier.device)
            given = {"token_type_ids": batch.token_type_ids} if segments else {}
            mask = None if batch.mask is None else batch.mask.long()
            logits = classifier(batch.input_ids, attention_mask=mask, **given).logits
            output[rows] = logits.float().softmax(dim=-1).cpu().numpy()
            bar.update(len(rows))
    return output
