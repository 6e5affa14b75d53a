"""What a build says of how everything ended: steps that lose most of what comes to them, ties, and its progress."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest
from harness_builder.people import open_review_queue
from harness_builder.quality import ProbeResult, compute_rates, select_balanced
from harness_builder.steps.probing import Part, find_giveaway
from harness_builder.tally import Progress, Tally, find_losses, format_losses, format_open_losses, show_progress
from harness_builder.values import End, Step

from tests.training.reviewed import answer_all, review
from tests.training.test_builder_command_mis import in_the_mini_world
from tests.training.test_builder_whole_story import build, configured
from tests.training.trained import called

ALONE = {"sort": {"review": "none"}}


def built(folder: Path, *more: str, **changes: Any) -> tuple[int, str, str]:
    """A build of the mini world, in which a role may misbehave as its model is called."""
    models = {"writer": "mini/writer", **changes.pop("models", {})}
    config = in_the_mini_world(folder, **{**ALONE, "models": models, **changes})
    return called(["build", "mis", "--config", str(config), "--out", str(folder / "out"), *more])


class TestARoleThatGivesNoReplyOfUse:
    @pytest.mark.parametrize(
        ("models", "said"),
        [
            ({"judge": "mini/writer-prose"}, "label: 1 of 1 failed: the judge gave no verdict"),
            ({"labeller": "mini/writer-refuse"}, "label: 1 of 1 dropped: the judge says safe_refusal"),
        ],
    )
    def test_leaves_a_set_open_that_has_nothing_of_it(self, tmp_path: Path, models: dict[str, str], said: str) -> None:
        code, shown, err = built(tmp_path, models=models)
        assert (code, "mis_train" in shown) == (3, False)
        assert f"open: {said}: name another labeller or judge, or leave them out: -S finish=true" in err
        assert err.count(said) == 1

        code, _, err = built(tmp_path, "-S", "finish=true", models=models)
        assert (code, "open:" in err) == (0, False)
        assert f"\n{said}\n" in f"\n{err}"
        assert f"- {said}" in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")

    def test_is_named_where_it_is_the_checker(self, tmp_path: Path) -> None:
        code, shown, err = built(tmp_path, models={"checker": "mini/writer-prose"})
        assert (code, shown) == (3, "no records\n")
        assert "draw: 4 of 4 stopped: unchecked, the checker gave no clear reply: name another checker" in err

    def test_gives_no_rate_where_it_is_the_prober(self, tmp_path: Path) -> None:
        code, _, err = built(tmp_path, models={"prober": "mini/writer-prose"})
        assert code == 0
        silent = "probe: of 3 of 3 the prober did not say whether a part alone gives the risk away: no JSON"
        assert silent in err
        card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
        assert "**Nobody knows whether a part alone gives the risk away**: of 3 records it was told of 0." in card

    def test_leaves_open_what_the_prober_should_have_chosen(self, tmp_path: Path) -> None:
        asked = {"models": {"prober": "mini/writer-prose"}, "probe": {"keep": "together"}}
        code, shown, err = built(tmp_path, **asked)
        assert (code, "mis_hard" in shown) == (3, False)
        assert "probe: 1 of 1 failed: the prober did not say: no JSON: name another prober" in err

    def test_says_nothing_where_all_is_well(self, tmp_path: Path) -> None:
        code, _, err = built(tmp_path)
        assert code == 0
        assert ": 1 of " not in err


def tally(step: Step, kept: int, *whys: tuple[End, str, int], passing: int = 0) -> Tally:
    made = Tally()
    made.ends[step, "kept"] = kept
    for end, why, number in whys:
        made.ends[step, end] += number
        made.whys[step, end, why] += number
    made.passing[step] = passing
    return made


class TestALoss:
    def test_is_told_from_more_than_half_on_with_its_reasons_the_most_frequent_first(self) -> None:
        lost = tally(
            "write", 2, ("dropped", "names its objects", 1), ("refused", "refused", 3), ("failed", "no JSON", 1)
        )
        (loss,) = find_losses(lost)
        assert loss.summary == "write: 5 of 7 lost: 3 refused; 1 dropped: names its objects; 1 failed: no JSON"
        assert not loss.useless
        assert find_losses(tally("write", 2, ("failed", "no JSON", 2))) == ()

    def test_of_everything_is_open_only_where_no_reply_was_of_use_and_nothing_may_pass(self) -> None:
        for lost, still in (
            (tally("label", 0, ("failed", "no JSON", 1), ("refused", "refused", 1)), True),
            (tally("write", 0, ("dropped", "no risk, or no objects", 2)), False),
            (tally("label", 0, ("failed", "error: server", 2), passing=2), False),
            (tally("sort", 0, ("waiting", "people have not decided yet", 2)), False),
            (tally("draw", 0, ("stopped", "person", 1), ("stopped", "unchecked", 1)), False),
        ):
            assert bool(list(format_open_losses(find_losses(lost)))) is still

    def test_that_is_told_as_open_is_not_told_twice(self) -> None:
        lost = tally("label", 0, ("failed", "no JSON", 2))
        assert list(format_losses(lost, ())) == ["label: 2 of 2 failed: no JSON"]
        assert list(format_losses(lost, tuple(format_open_losses(find_losses(lost))))) == []


def probed(*risks: bool | None, key: str = "a") -> list[ProbeResult]:
    parts: tuple[Part, ...] = ("text", "first", "second", "both")
    return [ProbeResult(key=key, part=part, risk=risk) for part, risk in zip(parts, risks, strict=True)]


def test_one_part_is_enough_to_give_a_risk_away_and_that_none_does_takes_all_of_them() -> None:
    assert find_giveaway(probed(None, True, None, None)) is True
    assert find_giveaway(probed(False, False, None, True)) is None
    assert find_giveaway(probed(False, False, False, None)) is False
    every = [*probed(None, True, None, None), *probed(None, False, False, True, key="b")]
    assert (compute_rates(every).told, compute_rates(every).alone) == (1, ("a",))


def test_a_category_of_the_plan_is_missed_where_there_is_none_of_it() -> None:
    found = select_balanced([("a", "Workshop")], 2, categories=("Workshop", "Barn"))
    assert dict(found.missing) == {"Workshop": 1, "Barn": 2}
    assert dict(select_balanced([], {"Barn": 1}, categories=("Workshop",)).missing) == {"Barn": 1}


def test_a_tie_is_named_with_what_people_differ_in_and_what_would_settle_it(tmp_path: Path) -> None:
    people = {"sort": {"reviewers": 2}}
    built(tmp_path, **people)
    queue = open_review_queue(tmp_path / "out")
    tied, *rest = sorted(queue.candidates)
    other = "places"
    queue.categories = (*queue.categories, other)
    for name in ("ann", "bob"):
        for key in rest:
            queue.session(name).answer(review(key, name))
    queue.session("ann").answer(review(tied, "ann", "fix", category=other))
    queue.session("bob").answer(review(tied, "bob"))
    queue.session("cem").answer(review(tied, "cem", "drop"))

    code, _, err = built(tmp_path, **people)
    assert code == 3
    assert f"open: {tied}: people disagree on its category: one more reviewer has to decide" in err
    assert "wait for people" not in err


def test_a_tie_on_photographs_is_named_as_well(tmp_path: Path) -> None:
    config, out = configured(tmp_path, sort={"review": "people"}), tmp_path / "out"
    build(config)
    answer_all(open_review_queue(out), "ann", text_unsafe=False)
    build(config)
    queue = open_review_queue(out)
    tied, _ = queue.session("ann").progress().open
    queue.session("ann").answer(review(tied, "ann", "drop"))
    queue.session("bob").answer(review(tied, "bob"))

    code, said, _ = build(config)
    assert code == 3
    assert [line.partition(": ")[0] for line in said["open"]] == ["1 wait for people", tied]
    assert f"{tied}: people disagree on whether to keep it" in said["open"][1]


# ---- progress --------------------------------------------------------------------------------------------------------


class World:
    """A build that is counted, and a clock that is set."""

    def __init__(self) -> None:
        self.tally = Tally()
        self.calls = 0
        self.now = 100.0
        self.lines: list[str] = []

    def progress(self) -> Progress:
        return Progress(self.tally, lambda: self.calls, self.lines.append, clock=lambda: self.now)

    def count(self, step: Step, end: End = "kept", times: int = 1) -> None:
        self.tally.ends[step, end] += times


def test_a_line_says_what_went_on_from_each_step_how_the_rest_ended_and_how_fast_calls_are() -> None:
    world = World()
    progress = world.progress()
    world.count("elements", times=40)
    world.count("write", times=38)
    world.count("draw", times=30)
    world.count("sort", times=28)
    world.count("label", times=12)
    world.count("write", "dropped", 2)
    world.count("draw", "dropped", 3)
    world.count("elements", "refused")
    world.calls, world.now = 31, 110.0
    progress.tick()
    (line,) = world.lines
    assert line == (
        "elements 40 · written 38 · drawn 30 · sorted 28 · probed 0 · labelled 12"
        " · dropped 5 · refused 1 · failed 0 · stopped 0 · 3.1 calls/s"
    )


def test_the_speed_is_that_since_the_last_line() -> None:
    world = World()
    world.calls = 500  # of an earlier time
    progress = world.progress()
    world.calls, world.now = 520, 110.0
    progress.tick()
    world.calls, world.now = 521, 120.0
    progress.tick()
    assert [line.rpartition(" · ")[2] for line in world.lines] == ["2.0 calls/s", "0.1 calls/s"]


def test_steps_that_nothing_has_reached_are_not_shown_and_who_waits_is_only_where_somebody_does() -> None:
    world = World()
    progress = world.progress()
    world.count("elements")
    progress.tick()
    assert world.lines[-1].startswith("elements 1 · dropped 0 ")
    assert "waiting" not in world.lines[-1]
    world.count("sort", "waiting")
    progress.tick()
    assert "waiting 1" in world.lines[-1]


def test_nothing_is_said_while_nothing_moves() -> None:
    world = World()
    progress = world.progress()
    progress.tick()
    world.now += 60
    progress.tick()
    assert world.lines == []


def test_a_build_ends_with_a_line_even_where_it_was_quick() -> None:
    world = World()

    async def build() -> None:
        async with show_progress(world.tally, lambda: world.calls, world.lines.append):
            world.count("elements")

    anyio.run(build)
    assert len(world.lines) == 1


def test_lines_come_while_a_build_goes_on() -> None:
    world = World()

    async def build() -> None:
        heard = anyio.Event()

        def tell(line: str) -> None:
            world.lines.append(line)
            heard.set()

        async with show_progress(world.tally, lambda: world.calls, tell, every=0.01):
            world.count("elements")
            with anyio.fail_after(30):
                await heard.wait()

    anyio.run(build)
    assert world.lines
