import dataclasses
import itertools

import pytest

from fastbert_core.tasks import PAPER_TASKS, TASKS
from reproductions.names import PROFILES
from reproductions.settings import lookup, most_rows, planned_trainings, settings_for

JOINT = ("labels-longer", "labels")


def standard(**given):
    return settings_for("standard", TASKS["book-review"], "self-distillation", "fp32", **given)


def test_every_task_has_whole_settings_in_every_profile():
    for profile, task in itertools.product(PROFILES, PAPER_TASKS.values()):
        for training in planned_trainings(profile, task):
            settings = settings_for(profile, task, training, "fp32")
            assert None not in dataclasses.asdict(settings).values(), (profile, task.name, training)
        assert lookup(profile, task, "backbone")
        assert profile in ("smoke", "packaged") or "/" in lookup(profile, task, "hub")


def test_the_papers_own_hyper_parameters():
    for profile in ("paper", "standard"):  # its Chinese encoder is of BERT-base's size
        s = settings_for(profile, TASKS["book-review"], "self-distillation", "fp32")
        assert (s.fine_tuning_rate, s.fine_tuning_epochs) == (2e-5, 3)
        assert (s.distillation_rate, s.distillation_epochs) == (2e-4 if profile == "paper" else 1e-3, 5)
        assert (s.batch_size, s.max_tokens, s.warmup, s.seed, s.weight_decay) == (32, 128, 0.1, 7, 0.0)


def test_a_narrow_encoder_learns_faster_whatever_the_language():
    own = dataclasses.replace(TASKS["yelp-polarity"], name="tickets")  # a task file's, perhaps with BERT-base
    own = [dataclasses.replace(own, language=language) for language in ("en", "zh")]
    for task in (*own, *(task for task in TASKS.values() if not task.group)):
        narrow = settings_for("standard", task, "self-distillation", "fp32", 384)
        epochs = 3 if task.name in ("dbpedia", "yahoo", "yelp-full") else 2
        assert (narrow.fine_tuning_rate, narrow.fine_tuning_epochs, narrow.distillation_epochs) == (2e-4, epochs, 5)
    for task in own:
        wide = settings_for("standard", task, "self-distillation", "fp32", 768)
        assert (wide.fine_tuning_rate, wide.fine_tuning_epochs, wide.distillation_epochs) == (2e-5, 3, 5)


def test_the_command_line_goes_before_the_file():
    assert standard(seed=8, train_rows=100).seed == 8
    assert standard(seed=8, train_rows=100).train_rows == 100
    assert standard(seed=None, train_rows=None) == standard()


def test_all_rows_are_no_more_than_two_cores_can_do():
    assert [most_rows("standard", TASKS["dbpedia"], rows) for rows in (12_022, 15_000, 558_000)] == [None, None, 15_000]
    assert most_rows("paper", TASKS["dbpedia"], 558_000) is None


def test_identity_follows_from_settings_data_and_backbone():
    one = standard()
    assert one.run_id("data", "backbone") == standard().run_id("data", "backbone")
    others = [dataclasses.replace(one, **{name: "x"}) for name in one.__dataclass_fields__]
    ids = {other.run_id("data", "backbone") for other in others}
    ids |= {one.run_id("data", "backbone"), one.run_id("other", "backbone"), one.run_id("data", "other")}
    assert len(ids) == len(others) + 3


def test_runs_share_their_first_stage_unless_it_differs():
    def first(**changes):
        return dataclasses.replace(standard(), **changes).first_id("data", "backbone")

    assert first() == first(training="reverse-kl") == first(training="distilbert-6")
    assert first() == first(distillation_epochs=9, distillation_rate=1.0)
    assert (
        len({first(), first(training="labels"), first(seed=8), first(fine_tuning_rate=1.0), first(train_rows=5)}) == 5
    )


def test_a_task_of_the_users_own_wants_fastbert_alone():
    own = dataclasses.replace(TASKS["yelp-polarity"], name="tickets")
    assert planned_trainings("standard", own) == ["self-distillation"]
    for language in ("en", "zh"):  # and all rows that the user has
        mine = settings_for("standard", dataclasses.replace(own, language=language), "self-distillation", "fp32")
        assert mine.train_rows == "all"
    assert len(planned_trainings("standard", TASKS["yelp-polarity"])) == 6


def test_the_authors_way_is_a_training_of_its_own():
    theirs = settings_for("standard", TASKS["book-review"], "authors", "fp32")
    assert (theirs.classifier_init, theirs.bias_correction, theirs.until_flat) == ("pytorch", False, False)
    assert [stage.name for stage in (theirs.first, *theirs.later)] == ["fine-tuning", "self-distillation"]
    assert theirs.schedules.distillation.rate == 2e-4
    assert theirs.first_id("data", "backbone") != standard().first_id("data", "backbone")


def test_joint_training_can_have_as_many_epochs_and_the_rate_of_the_students():
    longer, usual = (settings_for("packaged", TASKS["yelp-polarity"], name, "fp32", hidden=384) for name in JOINT)
    stages = usual.schedules.fine_tuning, usual.schedules.distillation
    assert longer.schedules.fine_tuning.epochs == sum(stage.epochs for stage in stages)
    assert longer.schedules.fine_tuning.classifier_rate == stages[1].rate
    assert [stage.name for stage in (longer.first, *longer.later)] == ["labels"]


@pytest.mark.parametrize(
    ("changed", "usual", "times", "epochs"),
    [
        ("labels-slower", "labels", 2, 2),
        ("labels-slower-longer", "labels", 2, 4),
        ("labels-slowest", "labels", 4, 2),
        ("self-distillation-slower", "self-distillation", 2, 2),
        ("self-distillation-longer", "self-distillation", 1, 3),
    ],
)
def test_an_encoder_can_learn_slower_or_longer_and_all_else_be_the_same(changed, usual, times, epochs):
    ours, own = (settings_for("standard", TASKS["ag-news"], n, "fp32", hidden=384).schedules for n in (changed, usual))
    rate = own.fine_tuning.rate
    assert times * ours.fine_tuning.rate == rate == (ours.fine_tuning.classifier_rate or rate)
    same = {"rate": rate, "classifier_rate": own.fine_tuning.classifier_rate}
    assert dataclasses.replace(ours.fine_tuning, **same) == dataclasses.replace(own.fine_tuning, epochs=epochs)
    assert ours.distillation == own.distillation


def test_a_shallow_model_can_have_as_many_epochs_as_fastbert_and_the_same_teacher():
    fastbert, usual, longer = (
        settings_for("standard", TASKS["ag-news"], name, "fp32", hidden=384)
        for name in ("self-distillation", "distilbert-6", "distilbert-longer-6")
    )
    assert longer.layers == 6
    assert longer.first_id("data", "backbone") == fastbert.first_id("data", "backbone")
    stages = fastbert.first, *fastbert.later
    assert [stage.schedule.epochs for stage in longer.later] == [sum(stage.schedule.epochs for stage in stages)]
    assert dataclasses.replace(longer.later[0], schedule=usual.later[0].schedule) == usual.later[0]


def test_classifiers_learn_at_the_encoders_rate_unless_told():
    assert standard().classifier_rate == standard().fine_tuning_rate
    assert standard(classifier_rate=1.0).schedules.fine_tuning.classifier_rate == 1.0


def test_classifiers_of_many_labels_begin_at_how_often_each_holds():
    moods = dataclasses.replace(TASKS["goemotions"], name="moods")
    found = {
        task.name: settings_for("standard", task, "self-distillation", "fp32", 384).classifier_init
        for task in (TASKS["reuters90"], moods, TASKS["goemotions"], TASKS["sst2"])
    }
    assert found == {"reuters90": "label-shares", "moods": "label-shares", "goemotions": "xavier", "sst2": "xavier"}
