"""A set goes to the hub private and gated before its first file, whole or not at all, and nothing beside it."""

import json
from pathlib import Path
from typing import Any

import pytest
from harness_builder.output import check_push, push
from harness_builder.output import hub as hub_module

from harness import HarnessError, MissingData
from tests.training.built import Workplace, there
from tests.training.taking_hub import TOKEN, Repo, TakingHub

REPO = "someone/new-set"


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    """A whole set, with what people said of it beside it."""
    place = Workplace(tmp_path / "set")
    place.finish()
    (place.folder / "review").mkdir()
    (place.folder / "review/reviews-ann.jsonl").write_text("{}\n")
    return place


def failed(folder: Path, repo: str = REPO) -> HarnessError:
    with pytest.raises(HarnessError) as caught:
        push(folder, repo)
    return caught.value


def manifest(folder: Path, **changes: Any) -> None:
    told = json.loads((folder / "build.json").read_text())
    (folder / "build.json").write_text(json.dumps({**told, **changes}))


def test_all_of_the_set_and_nothing_else_goes_there(place: Workplace, hub: TakingHub) -> None:
    address = push(place.folder, REPO)
    assert hub.repos[REPO].files == there(place.folder)
    assert address.startswith(f"{hub.url}/datasets/{REPO}/commit/")
    assert hub.puts()


def test_it_is_private_and_gated_by_hand_before_the_first_file_is_named(place: Workplace, hub: TakingHub) -> None:
    push(place.folder, REPO)
    assert set(hub.repos[REPO].states) == {("private", "manual")}
    assert [each.path for each in hub.asked[:2]] == ["/api/repos/create", f"/api/datasets/{REPO}/settings"]
    assert {each.token for each in hub.asked if not each.path.startswith("/large/")} == {TOKEN}


def test_a_repository_that_is_open_is_closed_first(place: Workplace, hub: TakingHub) -> None:
    hub.repos[REPO] = Repo(visibility="public", gated=False)
    push(place.folder, REPO)
    assert set(hub.repos[REPO].states) == {("private", "manual")}


def test_public_is_said_aloud_and_keeps_the_gate(place: Workplace, hub: TakingHub) -> None:
    said: list[str] = []
    push(place.folder, REPO, public=True, tell=said.append)
    assert said[0].startswith("public: everybody sees the set's page")
    repo = hub.repos[REPO]
    assert (repo.visibility, repo.gated) == ("public", "manual")
    assert set(repo.states) == {("private", "manual")}, "it opens when all is there"


def test_images_go_in_portions_and_the_lists_last(
    place: Workplace, hub: TakingHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "_AT_ONCE", 6)
    push(place.folder, REPO)
    assert hub.repos[REPO].commits == [
        "Images 1 to 6 of 14",
        "Images 7 to 12 of 14",
        "Images 13 to 14 of 14",
        "Lamps and kites: lists, card and manifest",
    ]


def test_a_push_that_broke_off_leaves_no_list_and_the_next_one_goes_on(place: Workplace, hub: TakingHub) -> None:
    hub.refuse["/tree/"] = 403  # the images are there, the lists not yet
    error = failed(place.folder)
    assert "may not write" in error.what
    there_now = hub.repos[REPO].files
    assert there_now
    assert not [path for path in there_now if path.endswith(".json")]
    sent = len(hub.puts())
    hub.refuse.clear()
    push(place.folder, REPO)
    assert hub.repos[REPO].files == there(place.folder)
    again = hub.puts()[sent:]
    assert not {each.rpartition("/")[2] for each in again} & {each.rpartition("/")[2] for each in hub.puts()[:sent]}


def test_what_an_earlier_set_left_there_goes_and_what_is_not_ours_stays(place: Workplace, hub: TakingHub) -> None:
    push(place.folder, REPO)
    hub.repos[REPO].files["notes.md"] = b"mine"
    place.finish(place.write([place.made(40, "hard")]))
    push(place.folder, REPO)
    assert hub.repos[REPO].files == {**there(place.folder), "notes.md": b"mine"}


def test_a_name_without_an_owner_is_the_tokens(place: Workplace, hub: TakingHub) -> None:
    push(place.folder, "new-set")
    assert hub.repos.keys() == {"someone/new-set"}


def test_a_set_without_its_manifest_does_not_go(tmp_path: Path, hub: TakingHub) -> None:
    place = Workplace(tmp_path / "half")
    place.write()
    error = failed(place.folder)
    assert isinstance(error, MissingData)
    assert "no finished set" in error.what
    assert not hub.asked


def test_a_set_that_is_not_complete_does_not_go(place: Workplace, hub: TakingHub) -> None:
    place.finish(open=("3 candidates wait for review: harness build review DIR",))
    error = failed(place.folder)
    assert "not complete: 3 candidates wait for review" in error.what
    assert not hub.asked


def test_a_set_that_somebody_changed_does_not_go(place: Workplace, hub: TakingHub) -> None:
    (place.folder / "mis_easy.json").write_text("[]")
    (place.folder / "easy_image/1/object1.png").unlink()
    error = failed(place.folder)
    assert error.what == "the set differs from its manifest: missing: easy_image/1/object1.png and 1 more"
    assert not hub.asked


def test_a_manifest_that_names_other_files_sends_none(place: Workplace, hub: TakingHub) -> None:
    files = json.loads((place.folder / "build.json").read_text())["files"]
    manifest(place.folder, files={**files, "work/calls.db": {"bytes": 1, "sha256": "0" * 64}})
    assert "not a file of a set" in failed(place.folder).what
    assert not hub.asked


def test_without_a_token_nothing_is_asked(place: Workplace, hub: TakingHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN")
    error = failed(place.folder)
    assert "needs a token" in error.what
    assert "HF_TOKEN" in error.remedy
    assert not hub.asked


def test_a_wrong_token_is_said(place: Workplace, hub: TakingHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    error = failed(place.folder)
    assert error.what == "the hub does not know this token"
    assert "hf_wrong" not in str(error)


@pytest.mark.parametrize(
    ("part", "status", "said"),
    [
        ("/repos/create", 403, "the token may not write to someone/new-set"),
        ("/settings", 403, "the token may not write to someone/new-set"),
        ("/preupload/", 404, "the hub shows no data set someone/new-set"),
        ("/large/", 400, "the hub answered 400"),
        ("/commit/", 413, "the hub answered 413"),
    ],
)
def test_what_the_hub_says_no_to_is_one_sentence_with_a_remedy(
    place: Workplace, hub: TakingHub, part: str, status: int, said: str
) -> None:
    hub.refuse[part] = status
    error = failed(place.folder)
    assert said in error.what
    assert error.remedy
    assert "\n" not in error.what


def test_where_the_gate_cannot_be_set_no_file_goes(place: Workplace, hub: TakingHub) -> None:
    hub.refuse["/settings"] = 500
    failed(place.folder)
    assert hub.repos[REPO].files == {}
    assert [each.path for each in hub.asked] == ["/api/repos/create", f"/api/datasets/{REPO}/settings"]


@pytest.mark.parametrize("repo", ["a/b/c", "someone/new set", "someone/", "-/-"])
def test_what_can_be_told_beforehand_is_told_without_asking(hub: TakingHub, repo: str) -> None:
    with pytest.raises(HarnessError, match="is not a data set name") as caught:
        check_push(repo)
    assert "OWNER/NAME" in caught.value.remedy
    assert not hub.asked


def test_a_hub_that_must_not_be_asked_is_told_beforehand(hub: TakingHub, monkeypatch: pytest.MonkeyPatch) -> None:
    check_push(REPO)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(HarnessError, match="HF_HUB_OFFLINE is set"):
        check_push(REPO)
    assert not hub.asked


def test_a_name_that_is_none_is_said(place: Workplace, hub: TakingHub) -> None:
    error = failed(place.folder, "a/b/c")
    assert error.what == "'a/b/c' is not a data set name"
    assert not hub.asked


def test_nobody_there_is_said(place: Workplace, hub: TakingHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert "127.0.0.1" in str(failed(place.folder))


def test_nothing_is_printed_but_what_is_told(
    place: Workplace, hub: TakingHub, capfd: pytest.CaptureFixture[str]
) -> None:
    said: list[str] = []
    push(place.folder, REPO, tell=said.append)
    assert said == ["14 of 14 images uploaded"]
    assert capfd.readouterr() == ("", "")
