"""An id of a source may hold what parts a seed's key from the place of its element, and is never taken for it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from harness_builder.output import render_story
from harness_builder.records import LogLine, StepLog
from harness_builder.seeds import SeedSource, escape_id, read_seeds, unescape_key
from hypothesis import given
from hypothesis import strategies as st

from harness import UnknownName
from tests.acceptance.commands import harness_here
from tests.training import cast
from tests.training.cast import Cast, staged

SEEDS = "id,text\nx,case=text\nx#0,case=image\n"


class Portrayed(Cast):
    """Labels one case with a text that the rule stops."""

    def _label(self, case: str, given: object, again: int) -> str | None:
        return f"In the first picture {cast.SECRET} lays one on the other." if case == "text" else None


def texts() -> st.SearchStrategy[str]:
    return st.text("#%23x5")


@given(texts(), texts())
def test_no_two_ids_are_spelled_alike_and_each_is_read_back(one: str, other: str) -> None:
    assert (escape_id(one) == escape_id(other)) == (one == other)
    assert "#" not in escape_id(one)
    assert unescape_key(escape_id(one)) == one


def test_a_key_holds_a_sharp_for_an_element_alone(tmp_path: Path) -> None:
    (tmp_path / "seeds.csv").write_text(f"{SEEDS}50%23,a text\n", encoding="utf-8")
    seeds = read_seeds(SeedSource(name="s", path=tmp_path / "seeds.csv"))
    assert [seed.key for seed in seeds] == ["s/x", "s/x%230", "s/50%2523"]


def test_what_is_stopped_takes_no_call_of_another_seed_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "HARNESS_DATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(cast, "Cast", Portrayed)
    with staged(tmp_path) as stage:
        (tmp_path / "seeds.csv").write_text(SEEDS, encoding="utf-8")
        asked: list[int] = []
        for _ in range(2):
            ended = harness_here("build", "mis", "--config", stage.config, "--out", stage.out)
            assert "stopped 1" in ended.err
            asked.append(sum(stage.cast.asked.values()))
        lines = map(json.loads, (stage.out / "work/elements.jsonl").read_text(encoding="utf-8").splitlines())
    assert asked[0] == asked[1]
    ends = {line["key"]: line["end"] for line in lines}
    assert ends == {"cases/x": "kept", "cases/x#0": "stopped", "cases/x%230": "kept", "cases/x%230#0": "kept"}


def test_a_record_is_shown_by_its_id_as_its_source_has_it(tmp_path: Path) -> None:
    keys = ("s/x", "s/x#0", "s/y%231", "s/y%231#0")
    (tmp_path / "work").mkdir()
    with StepLog(tmp_path / "work") as lines:
        for key in keys:
            lines.put(LogLine(step="elements", key=key, end="kept"))
    asked = {"s/x#0": "s/x#0", "s/y#1": "s/y%231", "s/y%231": "s/y%231", "s/y#1#0": "s/y%231#0"}
    for typed, key in asked.items():
        assert render_story(tmp_path, typed).splitlines()[0] == key
    with pytest.raises(UnknownName):
        render_story(tmp_path, "s/y")
