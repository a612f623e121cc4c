"""The cheap baseline that a trained model must beat: logistic regression on the frozen encoder's vectors."""

from collections import deque
from warnings import catch_warnings

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastbert_core.encoding import Encoded, collate, sorted_batches
from fastbert_core.model import FastBertModel
from fastbert_core.precision import autocast
from fastbert_core.task_types import SINGLE, TaskType
from fastbert_core.tracing import evaluating
from fastbert_core.train import Samples

TRAIN_ROWS = 5000  # more of them cost minutes and change little


def baseline(
    model: FastBertModel,
    train: Samples,
    dev: Samples,
    test: Samples,
    pad_id: int,
    precision: str = "fp32",
    kind: TaskType = SINGLE,
) -> float:
    """Fit on `train` rows the vectors of `model`'s encoder as it is; of [CLS] and mean vectors `dev` chooses.

    kind: a type of texts' classes; of many labels each is told by a regression of its own

    Returns: 100 times the mean quality on the `test` rows
    """
    few = np.sort(np.random.default_rng(0).permutation(len(train.labels))[:TRAIN_ROWS])  # files may go class by class
    sides = [
        frozen_vectors(model, part.encoded, pad_id, rows, precision)
        for part, rows in ((train, few), (dev, None), (test, None))
    ]

    def quality(answers: np.ndarray, labels: np.ndarray) -> float:
        return float(kind.quality(answers[:, None], labels).mean())

    fitted, chosen, best = None, "", -1.0
    for name in ("mean", "cls"):
        learner = LogisticRegression(C=0.1, max_iter=300)
        learner = learner if train.labels.ndim == 1 else OneVsRestClassifier(learner)
        regression = make_pipeline(StandardScaler(), learner)
        with catch_warnings(action="ignore", category=UserWarning):  # of a label that no row has, and none will get
            regression.fit(sides[0][name], train.labels[few])
        if (score := quality(regression.predict(sides[1][name]), dev.labels)) > best:
            fitted, chosen, best = regression, name, score
    return 100 * quality(fitted.predict(sides[2][chosen]), test.labels)


def frozen_vectors(
    model: FastBertModel, encoded: Encoded, pad_id: int, rows: np.ndarray | None = None, precision: str = "fp32"
) -> dict[str, np.ndarray]:
    """Of the encoder's last layer, the vector at [CLS] and the mean over real tokens: float32 [rows, hidden] each."""
    rows = np.arange(len(encoded)) if rows is None else rows
    vectors = {name: np.empty((len(rows), model.backbone.config.hidden_size), np.float32) for name in ("cls", "mean")}
    with evaluating(model), autocast(model.device, precision):
        for at in sorted_batches(encoded.lengths[rows]):
            batch = collate(encoded, rows[at], pad_id, model.device)
            states = model.hidden_states(batch.input_ids, batch.mask, batch.token_type_ids)
            (hidden,) = deque(states, maxlen=1)  # the last layer's; none before it is kept
            hidden = model.read(hidden, batch.mask).float()  # [b, n, hidden]
            weights = hidden.new_ones(hidden.shape[:2]) if batch.mask is None else batch.mask.to(hidden.dtype)
            mean = (hidden * weights[..., None]).sum(dim=1) / weights.sum(dim=1, keepdim=True)
            vectors["cls"][at], vectors["mean"][at] = hidden[:, 0].cpu().numpy(), mean.cpu().numpy()
    return vectors
