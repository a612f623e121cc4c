"""The model in Hugging Face's own hands: Auto classes, pipeline and Trainer."""

import json

import numpy as np
import pytest
import torch
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    Trainer,
    TrainingArguments,
    pipeline,
)

import fastbert_core
from fastbert_core.engine import Engine
from fastbert_core.model import FastBertConfig, FastBertModel
from tests.core.small import CLASSES, LAYERS, make_model, make_tokenizer, texts_of

# All that a model's config.json said before ea962fd, when models became Hugging Face's.
BEFORE = {"architectures", "backbone", "classifier_dropout", "classifier_heads", "classifier_init", "classifier_width"}
BEFORE |= {"dtype", "id2label", "label2id", "model_type", "pair", "transformers_version"}


@pytest.fixture
def texts():
    return [text for text in texts_of(30) if text]


def test_forward_gives_every_exit_the_last_ones_logits_and_a_loss():
    model = make_model().eval()
    ids, labels = torch.randint(5, 100, (3, 7)), torch.tensor([0, 2, 1])
    output = model(ids, labels=labels)
    assert output.exit_logits.shape == (3, LAYERS, len(CLASSES))
    assert torch.equal(output.logits, output.exit_logits[:, -1])
    expected = sum(torch.nn.functional.cross_entropy(output.exit_logits[:, at], labels) for at in range(LAYERS))
    torch.testing.assert_close(output.loss, expected)
    assert model(ids).loss is None
    assert len(model(ids, labels=labels, return_dict=False)) == 3


def test_attention_mask_is_hugging_faces():
    model = make_model().eval()
    ids, mask = torch.randint(5, 100, (2, 7)), torch.ones(2, 7, dtype=torch.int64)
    mask[0, 4:] = 0
    expected = model(ids[:1, :4]).exit_logits
    torch.testing.assert_close(model(ids, attention_mask=mask).exit_logits[:1], expected, rtol=1e-4, atol=1e-5)
    assert torch.equal(model(ids, torch.ones_like(mask)).exit_logits, model(ids).exit_logits)


def test_auto_classes_find_it(folder):
    assert isinstance(AutoConfig.from_pretrained(folder), FastBertConfig)
    ids = torch.randint(5, 100, (2, 6))
    expected = FastBertModel.from_pretrained(folder).eval()(ids).logits
    for auto in (AutoModel, AutoModelForSequenceClassification):
        torch.testing.assert_close(auto.from_pretrained(folder).eval()(ids).logits, expected)


def test_models_saved_before_load_as_they_were(folder):
    ids = torch.randint(5, 100, (2, 6))
    expected, path = FastBertModel.from_pretrained(folder).eval()(ids).exit_logits, folder / "config.json"
    now = json.loads(path.read_text())
    assert now.keys() > BEFORE
    path.write_text(json.dumps({name: now[name] for name in BEFORE}))
    assert torch.equal(FastBertModel.from_pretrained(folder).eval()(ids).exit_logits, expected)
    assert Engine.from_pretrained(folder).max_tokens > 0


def test_a_saved_model_names_no_folder_of_the_machine(tmp_path):
    encoder = tmp_path / "secret-place" / "encoder"
    make_model().backbone.save_pretrained(encoder)
    make_tokenizer().save_pretrained(encoder)
    FastBertModel.from_backbone(encoder, CLASSES).save_pretrained(tmp_path / "model")
    assert "secret-place" not in (tmp_path / "model" / "config.json").read_text("utf-8")
    FastBertModel.from_pretrained(tmp_path / "model").save_pretrained(tmp_path / "again")
    config = json.loads((tmp_path / "again" / "config.json").read_text("utf-8"))
    assert str(tmp_path) not in json.dumps(config)


def test_pipeline_classifies_as_the_engine_does_at_full_depth(folder, texts):
    classify = pipeline("text-classification", model=str(folder), tokenizer=str(folder))
    found = classify(texts, batch_size=8)
    expected = Engine.from_pretrained(folder).predict(texts, speed=0.0)
    assert [item["label"] for item in found] == [prediction.label for prediction in expected]


@pytest.mark.parametrize(("task_type", "classes"), [("multi-label", CLASSES), ("regression", ["score"])])
def test_pipeline_says_what_the_engine_does_where_a_text_has_no_single_class(tmp_path, texts, task_type, classes):
    scores = [0, 1] if task_type == "regression" else None
    make_model(classes=classes, of_type={"task_type": task_type, "scores": scores}).save_pretrained(tmp_path)
    make_tokenizer().save_pretrained(tmp_path)
    classify = pipeline("text-classification", model=str(tmp_path), tokenizer=str(tmp_path), top_k=None)
    found = [{item["label"]: item["score"] for item in items} for items in classify(texts)]
    expected = Engine.from_pretrained(tmp_path).predict(texts, speed=0.0)
    for items, prediction in zip(found, expected, strict=True):
        assert [items[name] for name in classes] == pytest.approx(list(prediction.probabilities), abs=1e-5)


def test_labels_of_many_may_be_floats_as_hugging_face_has_them():
    model = make_model(of_type={"task_type": "multi-label"}).eval()
    ids, labels = torch.randint(5, 100, (3, 7)), torch.tensor([[0, 1, 1], [0, 0, 0], [1, 0, 0]])
    assert torch.equal(model(ids, labels=labels.float()).loss, model(ids, labels=labels).loss)


def test_a_model_in_a_folder_of_its_repository_is_loaded(tmp_path):
    make_model().save_pretrained(tmp_path / "model")
    for kind in (FastBertModel, AutoModel):
        assert kind.from_pretrained(tmp_path, subfolder="model").layers == LAYERS


def test_trainer_trains_every_exit(folder, texts, tmp_path):
    model, tokenizer = FastBertModel.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    encoded = tokenizer(texts, padding=True)
    rows = [{name: encoded[name][at] for name in encoded} | {"labels": at % 3} for at in range(len(texts))]
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    options = {"max_steps": 2, "per_device_train_batch_size": 4, "report_to": [], "use_cpu": True}
    arguments = TrainingArguments(str(tmp_path / "trainer"), save_strategy="no", **options)
    trainer = Trainer(model, arguments, train_dataset=rows, eval_dataset=rows)
    trainer.train()
    unmoved = [name for name, parameter in model.named_parameters() if torch.equal(parameter, before[name])]
    assert not [name for name in unmoved if name.startswith("classifiers")]
    assert np.isfinite(trainer.evaluate()["eval_loss"])


def test_public_names_are_the_modules_own():
    assert fastbert_core.Engine is Engine
    assert fastbert_core.FastBertModel is FastBertModel
    assert set(fastbert_core.__all__) <= set(dir(fastbert_core))
    with pytest.raises(AttributeError, match="no attribute 'Motor'"):
        _ = fastbert_core.Motor
