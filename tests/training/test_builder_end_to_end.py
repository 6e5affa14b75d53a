"""A whole build over real HTTP, with models that misbehave in every way, one seed each; and what becomes of it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from harness_builder.calls import models
from harness_builder.values import STEPS

from harness import Policy
from tests.training.cast import CASES, OBJECTS, Stage, held_against, staged

#: case -> the file its record is in, or the step and the end that it has
EXPECTED = {
    "neither": "mis_hard.json",
    "image": "mis_easy.json",
    "text": "mis_train.json",
    "everything": "mis_train.json",
    "mended": "mis_hard.json",
    "renamed": "mis_hard.json",
    "spelled": "mis_hard.json",
    "refined": "mis_hard.json",
    "prose": ("elements", "failed"),
    "loop": ("elements", "failed"),
    "refuse": ("elements", "refused"),
    "filter": ("elements", "refused"),
    "alone": ("elements", "dropped"),
    "nothing": ("elements", "dropped"),
    "secret": ("elements", "stopped"),
    "hidden": ("draw", "stopped"),
    "harmless": ("write", "dropped"),
    "named": ("write", "dropped"),
    "twin": ("write", "dropped"),
    "known": ("write", "dropped"),
    "unpainted": ("draw", "refused"),
    "broken": ("draw", "failed"),
    "portrait": ("draw", "stopped"),
    "unsorted": ("sort", "failed"),
    "unlabelled": ("label", "dropped"),
    "down": ("label", "failed"),
}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """All cases, built once."""
    folder = tmp_path_factory.mktemp("cases")
    with pytest.MonkeyPatch.context() as patch, staged(folder, quality={"text": 1.0, **against(folder)}) as stage:
        # what is tried again is tried again at once
        patch.setattr(models, "Policy", partial(Policy, base=0.001))
        ended = stage.build()
        assert (ended.code, ended.out[:4]) == (3, "FILE"), ended.err
        yield stage


def against(folder: Path) -> dict[str, Any]:
    """A test that holds the question of the case `known`."""
    first, second = OBJECTS["known"]
    return held_against(folder, f"May I put the {first} on the {second} in case=known?")


def lines(stage: Stage, step: str) -> dict[str, dict[str, Any]]:
    text = (stage.out / "work" / f"{step}.jsonl").read_text(encoding="utf-8")
    return {line["key"]: line for line in map(json.loads, text.splitlines())}


def manifest(stage: Stage) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((stage.out / "build.json").read_text(encoding="utf-8"))
    return found


def files_of(stage: Stage) -> dict[str, str]:
    """Key of a record -> the file that holds it."""
    text = (stage.out / "provenance.jsonl").read_text(encoding="utf-8")
    return {line["key"]: line["file"] for line in map(json.loads, text.splitlines())}


def seed(case: str) -> str:
    return f"cases/{case}"


def test_every_case_that_is_played_is_expected_to_end_somewhere() -> None:
    assert sorted(EXPECTED) == sorted(CASES)


@pytest.mark.parametrize("case", CASES)
def test_each_case_ends_once_and_where_it_should(built: Stage, case: str) -> None:
    expected, files = EXPECTED[case], files_of(built)
    found = {key: file for key, file in files.items() if key.rpartition("#")[0] == seed(case)}
    if isinstance(expected, str):
        assert list(found.values()) == [expected]
        return
    assert not found
    step, end = expected
    ends = [
        (name, line["end"])
        for name in ("elements", "write", "draw", "sort", "probe", "label")
        for key, line in lines(built, name).items()
        if key.rpartition("#")[0] == seed(case) or key == seed(case)
    ]
    others = [(name, each) for name, each in ends if each != "kept"]
    if end == "stopped":
        assert {each for _, each in others} == {"stopped"}
        assert others[-1][0] == step
    else:
        assert others == [(step, end)]


def test_the_sort_rule_holds_on_every_combination(built: Stage) -> None:
    combined = {
        (line["text_unsafe"], line["image_harmful"]): line["file"]
        for line in map(json.loads, (built.out / "provenance.jsonl").read_text(encoding="utf-8").splitlines())
    }
    assert combined == {
        (False, False): "mis_hard.json",
        (False, True): "mis_easy.json",
        (True, False): "mis_train.json",
        (True, True): "mis_train.json",
    }


def test_nothing_of_what_was_stopped_is_anywhere_in_the_folder(built: Stage) -> None:
    for path in built.out.rglob("*"):
        if path.is_file():
            held = path.read_bytes()
            assert b"Quillfeather" not in held, path
            assert path.stem not in built.cast.portraits, path
            assert not any(name.encode() in held for name in OBJECTS["portrait"]), path
    stops = manifest(built)["stops"]
    assert sum(stops.values()) == 3
    assert stops["person"] == 3


def steps(stage: Stage) -> dict[str, dict[str, int]]:
    """The card's table of steps."""
    text = (stage.out / "README.md").read_text(encoding="utf-8").partition("## How everything ended")[2]
    heads, _, *rows = (
        line.strip("| ").split(" | ") for line in text.partition("\n## ")[0].splitlines() if line[:1] == "|"
    )
    named = {row[0]: dict(zip(heads[1:], row[1:], strict=True)) for row in rows if row[0] in STEPS}
    return {step: {end: int(number) for end, number in row.items()} for step, row in named.items()}


def check_chain(found: dict[str, dict[str, int]], seeds: int) -> None:
    """Each step begins with what the one before it kept; each seed gives one element, or none."""
    for step, row in found.items():
        assert row["came"] == sum(number for end, number in row.items() if end != "came"), step
    assert found["elements"]["came"] == seeds
    assert [found[step]["came"] for step in ("write", "draw", "sort")] == [
        found[step]["kept"] for step in ("elements", "write", "draw")
    ]
    assert found["probe"]["came"] + found["label"]["came"] == found["sort"]["kept"]


def test_each_step_of_the_card_begins_with_what_the_one_before_it_kept(built: Stage) -> None:
    found = steps(built)
    check_chain(found, len(CASES))
    assert {step: row["stopped"] for step, row in found.items() if row["stopped"]} == {"elements": 1, "draw": 2}
    text = (built.out / "README.md").read_text(encoding="utf-8")
    assert f"{len(CASES)} ideas were taken from the sources: 21 gave 21 elements, 5 gave none." in text


def test_the_manifest_names_what_decides_the_bytes_of_drawings_and_the_card_says_so(built: Stage) -> None:
    ran, card = manifest(built)["environment"], (built.out / "README.md").read_text(encoding="utf-8")
    assert {"python", "platform", "gpu", "torch", "diffusers", "open_clip_torch", "pillow"} <= ran.keys()
    assert f"pillow {version('pillow')}" in card
    assert f"python {ran['python']}" in card


def test_what_a_test_nearly_holds_and_what_repeats_is_dropped_and_listed(built: Stage) -> None:
    card = (built.out / "README.md").read_text(encoding="utf-8")
    assert "mis/easy/" in card
    write = lines(built, "write")
    assert write[f"{seed('twin')}#0"]["notes"] == [f"nearly equals {seed('neither')}#0"]
    assert write[f"{seed('known')}#0"]["why"] == "its text nearly equals that of a test"


def test_refusals_are_counted_and_never_records(built: Stage) -> None:
    ends = manifest(built)["ends"]
    assert ends["elements"]["refused"] == 2
    assert ends["draw"]["refused"] == 1
    total = Counter[str]()
    for step in ends.values():
        total.update({end: count for end, count in step.items() if end != "kept"})
    records = sum(manifest(built)["records"].values())
    assert records + sum(total.values()) == len(CASES)


def test_what_failed_for_a_passing_reason_is_all_that_the_next_build_asks(built: Stage) -> None:
    before = Counter(built.cast.asked)
    built.cast.up = True
    ended = built.build("--json")
    assert json.loads(ended.out)["records"]["mis_train.json"] == 3
    asked = built.cast.asked - before
    assert set(asked) == {("viewer", "label", "down"), ("painter", "draw", "broken")}
    assert asked["viewer", "label", "down"] == 1
    assert (ended.code, "1 failed for a reason that may pass" in ended.err) == (3, True)


def test_a_set_can_be_made_complete_without_what_goes_on_failing(built: Stage) -> None:
    ended = built.build("-S", "finish=true")
    assert (ended.code, "open:" in ended.err) == (0, False)
    assert manifest(built)["open"] == []
    assert manifest(built)["ends"]["draw"]["failed"] == 1
    check_chain(steps(built), len(CASES))  # what was stopped is listed again where it was stopped
