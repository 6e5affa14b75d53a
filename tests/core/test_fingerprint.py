"""What a local model is made of: the files of its fingerprint, unfinished trainings, and its lineage."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness import HarnessError, fingerprint
from harness.errors import BadData
from harness.fingerprint import MARK, mark_unfinished, refuse_unfinished
from harness.lineage import find_held_out, read_lineage
from harness.local import find

LARGE = 3 << 20


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setattr("platformdirs.user_cache_path", lambda *_, **__: folder)
    return folder


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "chat_template.jinja").write_text("hello")
    (folder / "tokenizer.json").write_text("[]")
    write(folder / "model.safetensors", b"w" * LARGE)
    return folder


def write(path: Path, data: bytes, *, age: float = 60.0) -> None:
    """Write a file as if `age` seconds ago; only its change time cannot be set back."""
    path.write_bytes(data)
    then = time.time() - age
    os.utime(path, (then, then))


def settle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a minute pass."""
    later = time.time() + 60
    monkeypatch.setattr(fingerprint.time, "time", lambda: later)


def count_hashing(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    hashed: list[str] = []
    inner = hashlib.file_digest

    def counted(file, digest):
        hashed.append(Path(file.name).name)
        return inner(file, digest)

    monkeypatch.setattr(fingerprint.hashlib, "file_digest", counted)
    return hashed


def test_a_folder_is_known_by_names_sizes_and_hashes_of_what_decides_its_answers(model: Path) -> None:
    marks = fingerprint.hash_folder(model)
    assert list(marks) == ["chat_template.jinja", "config.json", "model.safetensors", "tokenizer.json"]
    assert marks["chat_template.jinja"] == {"size": 5, "sha256": hashlib.sha256(b"hello").hexdigest()}
    assert marks["model.safetensors"] == {"size": LARGE, "sha256": hashlib.sha256(b"w" * LARGE).hexdigest()}


def test_the_path_never_enters(model: Path, tmp_path: Path) -> None:
    elsewhere = shutil.copytree(model, tmp_path / "elsewhere" / "other-name")
    assert fingerprint.hash_folder(elsewhere) == fingerprint.hash_folder(model)
    assert str(tmp_path) not in str(fingerprint.hash_folder(model))


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "chat_template.jinja", "config.json"])
def test_another_byte_in_any_of_them_is_another_model(model: Path, name: str) -> None:
    before = fingerprint.hash_folder(model)
    data = (model / name).read_bytes()
    (model / name).write_bytes(data[:-1] + b"!")
    after = fingerprint.hash_folder(model)
    assert {key for key in before if before[key] != after[key]} == {name}


def test_an_adapter_code_and_named_templates_count(model: Path) -> None:
    (model / "additional_chat_templates").mkdir()
    added = ["adapter_model.safetensors", "modeling_own.py", "additional_chat_templates/tool_use.jinja", "merges.txt"]
    for name in added:
        (model / name).write_text("x")
    assert set(added) < set(fingerprint.hash_folder(model))


def test_what_a_trainer_leaves_behind_does_not_count(model: Path) -> None:
    before = fingerprint.hash_folder(model)
    for name in ("optimizer.pt", "scheduler.pt", "rng_state_0.pth", "training_args.bin", "trainer_state.json"):
        (model / name).write_text("x")
    for name in ("README.md", "LICENSE.txt", ".gitattributes", "events.log"):
        (model / name).write_text("x")
    (model / "checkpoint-100").mkdir()
    (model / "checkpoint-100" / "model.safetensors").write_text("x")
    assert fingerprint.hash_folder(model) == before


def test_a_large_file_is_hashed_once(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settle(monkeypatch)
    hashed = count_hashing(monkeypatch)
    first = fingerprint.hash_folder(model)
    second = fingerprint.hash_folder(model)
    assert first == second
    assert hashed.count("model.safetensors") == 1
    assert hashed.count("config.json") == 2


def test_a_file_that_was_just_written_is_not_remembered(model: Path, cache: Path) -> None:
    fingerprint.hash_folder(model)
    assert not cache.exists()


def test_a_file_overwritten_with_its_size_and_time_kept_is_noticed(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = model / "model.safetensors"
    settle(monkeypatch)
    before = fingerprint.hash_file(weights)
    kept = weights.stat()
    weights.write_bytes(b"v" * LARGE)
    os.utime(weights, ns=(kept.st_atime_ns, kept.st_mtime_ns))
    assert (
        fingerprint.hash_file(weights) == {"size": LARGE, "sha256": hashlib.sha256(b"v" * LARGE).hexdigest()} != before
    )


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"state": 1}', b"\xff"])
def test_a_damaged_cache_is_only_slower(
    model: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, damage: bytes
) -> None:
    settle(monkeypatch)
    before = fingerprint.hash_folder(model)
    (memory,) = cache.rglob("*.json")
    memory.write_bytes(damage)
    assert fingerprint.hash_folder(model) == before


def test_a_cache_that_cannot_be_written_is_only_slower(
    model: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle(monkeypatch)
    cache.write_text("a file where the folder should be")
    assert fingerprint.hash_folder(model)["model.safetensors"]["size"] == LARGE


def test_a_folder_without_a_model_is_refused_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="no model file") as caught:
        fingerprint.hash_folder(tmp_path)
    assert caught.value.where == str(tmp_path)


def test_a_file_that_cannot_be_read_is_refused_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="cannot read") as caught:
        fingerprint.hash_file(tmp_path / "gone.safetensors")
    assert caught.value.where.endswith("gone.safetensors")


# ------------------------------------------------------------------------------------------------ unfinished trainings


def make_model(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"}), encoding="utf-8")
    return folder


def ways(folder: Path) -> tuple[Callable[[], object], ...]:
    """All that open a folder as a model."""
    return (
        lambda: refuse_unfinished(folder),
        lambda: fingerprint.hash_folder(folder),
        lambda: find(str(folder), None, scheme="hf"),
        lambda: find(str(folder), None, scheme="vllm", adapter="lora"),
    )


def refused(folder: Path) -> bool:
    """Whether every way refuses it, or none does."""
    answers = {_refused(way) for way in ways(folder)}
    assert len(answers) == 1
    return answers.pop()


def _refused(way: Callable[[], object]) -> bool:
    try:
        way()
    except HarnessError as error:
        return "has not ended" in error.what and "harness train" in error.remedy
    return False


def test_a_model_that_stands_by_itself_is_taken(tmp_path: Path) -> None:
    assert not refused(make_model(tmp_path / "m"))


def test_what_lies_below_a_mark_is_refused_however_deep(tmp_path: Path) -> None:
    mark_unfinished(tmp_path / "out.partial")
    assert refused(make_model(tmp_path / "out.partial" / "checkpoints" / "checkpoint-2"))
    assert not refused(make_model(tmp_path / "out"))


def test_a_link_to_it_and_a_path_with_detours_are_refused_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mark_unfinished(tmp_path / "out.partial")
    inside = make_model(tmp_path / "out.partial" / "model")
    (tmp_path / "link").symlink_to(inside)
    assert refused(tmp_path / "link")
    monkeypatch.chdir(inside)
    assert refused(Path())


def test_a_checkpoint_stays_refused_where_it_was_copied_to(tmp_path: Path) -> None:
    checkpoint = make_model(tmp_path / "out.partial" / "checkpoint-2")
    mark_unfinished(checkpoint)
    assert refused(shutil.copytree(checkpoint, tmp_path / "mine"))
    assert not [name for name in fingerprint.hash_folder(make_model(tmp_path / "other")) if name == MARK]


def test_the_folder_itself_says_why_it_is_none(tmp_path: Path) -> None:
    mark_unfinished(tmp_path / "out.partial")
    with pytest.raises(HarnessError, match="has not ended"):
        find(str(tmp_path / "out.partial"), None, scheme="vllm", adapter="lora")


def write_training(folder: Path, **body: object) -> Path:
    folder.mkdir()
    (folder / "training.json").write_text(json.dumps({"schema": "harness.training/1", **body}), encoding="utf-8")
    return folder


def test_a_model_of_which_nothing_is_declared_has_no_lineage(tmp_path: Path) -> None:
    assert read_lineage({"tuned_from": None, "trained_on": None}, [tmp_path]) == {}


def test_what_the_user_says_is_split_at_commas() -> None:
    given = {"tuned_from": "hf/base", "trained_on": "mis-train, vlguard,"}
    assert read_lineage(given, ()) == {"tuned_from": "hf/base", "trained_on": ["mis-train", "vlguard"]}


def test_the_training_file_beside_the_weights_speaks_where_the_user_does_not(tmp_path: Path) -> None:
    folder = write_training(tmp_path / "tuned", tuned_from="mini/base", trained_on=["mis-train"])
    assert read_lineage({}, [tmp_path / "gone", folder]) == {"tuned_from": "mini/base", "trained_on": ["mis-train"]}
    assert read_lineage({"trained_on": "own"}, [folder]) == {"tuned_from": "mini/base", "trained_on": ["own"]}


def test_the_training_file_says_what_was_held_out_and_which_files_the_base_had(tmp_path: Path) -> None:
    body = {"mixture": {"held_out": ["library"]}, "base": {"digest": "k1:b"}}
    folder = write_training(tmp_path / "tuned", tuned_from="hf/base", trained_on=["own"], **body)
    known = {"tuned_from": "hf/base", "trained_on": ["own"], "held_out": ["library"], "base_files": "k1:b"}
    assert read_lineage({}, [folder]) == known


def test_another_base_that_the_user_names_is_not_told_by_the_files_of_the_one_in_the_file(tmp_path: Path) -> None:
    body: dict[str, Any] = {"mixture": {"held_out": []}, "base": {"digest": "k1:b"}}
    folder = write_training(tmp_path / "tuned", tuned_from="hf/base", trained_on=["own"], **body)
    assert read_lineage({"tuned_from": "x/other"}, [folder]) == {"tuned_from": "x/other", "trained_on": ["own"]}


@pytest.mark.parametrize(
    ("category", "name"),
    [("Self-Harm", "self_harm"), ("self harm", "self_harm"), ("Garden; Self-Harm", "self_harm"), ("Garden", "")],
)
def test_a_category_is_held_out_however_its_name_is_spelled(category: str, name: str) -> None:
    assert find_held_out(["privacy", "self_harm", ""], category) == name
    assert find_held_out([""], "") == ""


@pytest.mark.parametrize(
    "text",
    [
        *("{", '{"trained_on": "mis"}', '{"trained_on": [1]}', '{"tuned_from": []}'),
        *('{"mixture": {"held_out": "mis"}}', '{"mixture": {"held_out": [1]}}', '{"base": {"digest": 1}}'),
    ],
)
def test_a_broken_training_file_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "training.json").write_text(text, encoding="utf-8")
    with pytest.raises(BadData, match=r"training\.json"):
        read_lineage({}, [tmp_path])
