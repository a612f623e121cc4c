import pytest

from fastbert_core import hub, packaged
from fastbert_core.errors import InputError
from fastbert_core.tasks import TASKS
from reproductions import sources
from reproductions.sources import Named, load_data, load_encoder, runs_folder, settle_profile
from tests.reproductions.own_task import write_task_file


@pytest.fixture
def reachable(monkeypatch):
    def set_to(answer):
        monkeypatch.setattr(hub, "hub_reachable", lambda: answer)

    return set_to


def test_options_go_before_variables(tmp_path, monkeypatch):
    for name in ("a", "b", "models"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("FASTBERT_DATA", str(tmp_path / "a"))
    monkeypatch.setenv("FASTBERT_MODELS", str(tmp_path / "models"))
    named = Named.from_user(None, None, None)
    assert (named.data, named.backbone, named.models) == (tmp_path / "a", None, tmp_path / "models")
    assert Named.from_user(str(tmp_path / "b"), None, None).data == tmp_path / "b"


@pytest.mark.parametrize("value", ["~no-such-user/data", "x" * 5000])
def test_a_folder_that_no_path_can_name_is_not_there(value):
    with pytest.raises(InputError, match="--data-dir: found no folder"):
        Named.from_user(value, None, None)


@pytest.mark.parametrize("variable", ["FASTBERT_DATA", "FASTBERT_MODELS"])
def test_a_named_folder_must_be_there(tmp_path, monkeypatch, variable):
    monkeypatch.setenv(variable, str(tmp_path / "gone"))
    with pytest.raises(InputError, match=f"{variable}: found no folder .*gone"):
        Named.from_user(None, None, None)


def test_standard_turns_packaged_only_where_nothing_is_named(tmp_path, reachable):
    reachable(False)
    assert settle_profile("standard", Named()) == "packaged"
    assert settle_profile("standard", Named(data=tmp_path, models=tmp_path)) == "standard"
    reachable(True)
    assert settle_profile("standard", Named()) == "standard"
    assert settle_profile("standard", Named(data=tmp_path)) == "standard"


@pytest.mark.parametrize("profile", ["smoke", "packaged"])
def test_small_profiles_ask_no_hub(profile, monkeypatch):
    monkeypatch.setattr(hub, "hub_reachable", None)
    assert settle_profile(profile, Named()) == profile


def test_half_a_source_is_an_error_that_says_which_half(tmp_path, reachable):
    reachable(False)
    with pytest.raises(InputError, match=r"hub cannot be reached, .* for the encoder .*FASTBERT_MODELS"):
        settle_profile("standard", Named(data=tmp_path))
    with pytest.raises(InputError, match=r"for the data \(name a folder with --data-dir or FASTBERT_DATA\)$"):
        settle_profile("standard", Named(models=tmp_path))


def test_paper_never_falls_back(reachable):
    reachable(False)
    with pytest.raises(InputError, match=r"profile paper: the hub cannot be reached, .* the data .* and the encoder"):
        settle_profile("paper", Named())


@pytest.mark.parametrize(("named", "where"), [(None, "cache/fastbert-suite/runs"), ("work/runs", "work/runs")])
def test_what_is_fetched_goes_to_the_cache_wherever_runs_live(tmp_path, monkeypatch, named, where):
    monkeypatch.setattr(packaged.platformdirs, "user_cache_dir", lambda name: str(tmp_path / "cache" / name))
    monkeypatch.delenv("FASTBERT_RUNS", raising=False)
    if named is not None:
        monkeypatch.setenv("FASTBERT_RUNS", str(tmp_path / named))
    fetched = []
    monkeypatch.setattr(
        sources.packaged, "fetch_encoder", lambda name, cache, log: fetched.append((name, cache)) or tmp_path / "none"
    )
    with pytest.raises(InputError, match="no such backbone folder"):
        load_encoder("packaged", TASKS["dbpedia"], Named(), None, print)
    with pytest.raises(InputError, match="no such backbone folder"):
        load_encoder("packaged", TASKS["dbpedia"], Named.from_user(None, "mpnet", None), None, print)
    assert fetched == [(name, tmp_path / "cache" / "fastbert-suite") for name in ("minilm", "mpnet")]
    assert runs_folder() == tmp_path / where


def test_without_a_hub_an_own_task_is_told_which_encoders_would_do(tmp_path, reachable):
    reachable(False)
    named = Named.from_user(None, None, str(write_task_file(tmp_path)))
    with pytest.raises(
        InputError, match=r"backbone in the task file, --backbone or FASTBERT_MODELS\); --profile packaged"
    ):
        settle_profile("standard", named)
    assert settle_profile("packaged", named) == "packaged"


def test_a_backbone_that_is_no_folder_and_not_to_be_had_is_named_as_both(monkeypatch):
    def offline(*_, **__):
        raise OSError("no hub\nat all")

    monkeypatch.setattr("huggingface_hub.snapshot_download", offline)
    with pytest.raises(
        InputError, match=r"'bertt': cannot be had from the hub \(no hub\), expected a folder, or an enc"
    ):
        sources.encoder_folder.from_hub("bertt")


def test_a_named_folder_without_the_task_is_no_reason_to_ask_the_hub(tmp_path, monkeypatch, reachable):
    monkeypatch.setattr(hub, "load_hub", None)
    with pytest.raises(InputError, match="no such folder, expected the TSV files of task dbpedia"):
        load_data("standard", TASKS["dbpedia"], Named(data=tmp_path))
