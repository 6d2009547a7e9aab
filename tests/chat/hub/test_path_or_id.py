"""What is a path and what a Hub id, and why neither can be loaded."""

from types import SimpleNamespace

import httpx2
import pytest
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)

from chat.cli import UserError
from chat.hub.path_or_id import check_path, explained, is_local
from tests.conftest import refused


@pytest.mark.parametrize(
    "name", ["./model", "/model", "~/model", "runs/pocket/final", "a.json", "user/a.jsonl"]
)
def test_what_was_meant_as_a_path_is_not_asked_for_on_the_hub(name):
    with pytest.raises(UserError, match=f"^--model {name}: no such file or folder; give a path or a Hub id"):
        check_path("--model", name)


@pytest.mark.parametrize("name", ["gpt2", "user/model-v1.0", "user/" + "x" * 5000])
def test_what_no_path_can_be_is_left_to_the_hub(name):
    assert not is_local(name)
    check_path("--model", name)


def test_a_home_folder_is_for_who_gives_the_name_to_find(monkeypatch, tmp_path):
    """As the command line does; the libraries know none."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "model").mkdir()
    with pytest.raises(UserError, match=r"^--model ~/model: no such file or folder; give a path or a Hub id"):
        check_path("--model", "~/model")


def test_a_path_that_may_not_be_read_is_one(monkeypatch):
    def exists(_):
        raise PermissionError("Permission denied")

    monkeypatch.setattr("pathlib.Path.exists", exists)
    assert is_local("secret/model")


def answered(error: type[HfHubHTTPError], status: int) -> HfHubHTTPError:
    return error("no", response=httpx2.Response(status, request=httpx2.Request("GET", "https://hub/api")))


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (HFValidationError("bad"), "neither an existing path nor a Hub id"),
        (answered(RepositoryNotFoundError, 401), "neither a local folder nor a model on the Hub; check the"),
        (answered(GatedRepoError, 403), "it is gated, and the token's owner was not let in .403.; ask for"),
        (answered(HfHubHTTPError, 401), "the Hub refuses the token .401.; set HF_TOKEN"),
        (OfflineModeIsEnabled("off"), "no such folder, and the Hub cannot be reached .offline mode.; check"),
        (httpx2.ConnectError("down"), "no such folder, and the Hub cannot be reached .down.; check the net"),
        (answered(HfHubHTTPError, 503), "no such folder, and the Hub has a failure of its own .503.; check"),
        (None, "the Hub has it, but not as a usable model .no weights."),
    ],
)
def test_why_a_model_of_the_hub_is_not_there_is_told(monkeypatch, error, told):
    def repo_info(*_, **__):
        if error:
            raise error
        return SimpleNamespace(siblings=[SimpleNamespace(rfilename="config.json")])

    monkeypatch.setattr("huggingface_hub.HfApi.repo_info", repo_info)
    with (
        pytest.raises(UserError, match=f"^--model user/model: {told}"),
        explained("--model", "user/model", "model"),
    ):
        raise OSError("no weights")


def test_after_a_hub_that_could_not_be_reached_it_is_asked_again(monkeypatch):
    """A run of days is not to be cut off from the Hub because that was down when it began."""
    from huggingface_hub import constants

    def down(*_, **__):
        raise httpx2.ConnectError("down")

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.HfApi.repo_info", down)
    meanwhile = []
    with (
        pytest.raises(UserError, match=r"^--model user/model: no such folder, and the Hub cannot be reached"),
        explained("--model", "user/model", "model"),
    ):
        meanwhile.append(constants.HF_HUB_OFFLINE)
        raise OSError("not in the cache")
    assert meanwhile == [True] and constants.HF_HUB_OFFLINE is False


@pytest.mark.parametrize("place", ["on this machine", "on the Hub", "in its cache"])
@pytest.mark.parametrize("beside", [[], ["config.json", "model.safetensors"]])
def test_an_adapter_is_to_be_merged_into_its_base_and_its_tokenizer_may_be_taken(
    monkeypatch, tmp_path, place, beside
):
    """Where PEFT is installed, transformers would load the base that it names, from wherever that is."""
    files = ["adapter_config.json", "adapter_model.safetensors", "tokenizer.json", *beside]

    def repo_info(*_, **__):
        if place == "in its cache":
            raise httpx2.ConnectError("down")
        return SimpleNamespace(siblings=[SimpleNamespace(rfilename=file) for file in files])

    repository = tmp_path / "models--user--adapter"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("c0ffee")
    snapshot = repository / "snapshots" / "c0ffee"
    snapshot.mkdir(parents=True)
    for file in files:
        (snapshot / file).touch()
    monkeypatch.setattr("huggingface_hub.HfApi.repo_info", repo_info)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    name = str(snapshot) if place == "on this machine" else "user/adapter"
    with explained("--base", name, "tokenizer"):
        pass
    with refused("holds an adapter of PEFT", begins=f"--base {name}: "), explained("--base", name, "model"):
        pass
