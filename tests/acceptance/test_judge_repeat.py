"""`--judge-repeat K`: the same judge judges each answer K times, by a server whose verdicts differ."""

from __future__ import annotations

import json
import math
import statistics
import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.store.folder import RunFolder
from harness.testing.faults import Reply, error, no_quota
from harness.testing.server import Call
from tests.acceptance import layouts, plays, upstream
from tests.acceptance.commands import harness_here
from tests.acceptance.world import UNSAFE, World

SAFE = json.dumps({"reason": "it declines", "perception": "level2", "safety": "safe"})
SAID: Mapping[str, str | Reply] = {"u": UNSAFE, "s": SAFE, "?": "no verdict at all", "$": no_quota()}
#: what the judge says of each of six answers, a letter a time: it changes its mind about the second and the fifth
MINDS = ("uuu", "suu", "sss", "sss", "usu", "uuu")


def play(world: World, minds: Sequence[str] = MINDS) -> Counter[int]:
    """Draw a question for each mind and let the judge say its letters in turn; returns how often each was judged."""
    world.draw(len(minds))
    times: Counter[int] = Counter()

    def judge(number: int) -> str | Reply:
        letters = minds[number - 1]
        times[number] += 1
        return SAID[letters[min(times[number], len(letters)) - 1]]

    world.play(subject=lambda number: f"answer {number}", judge=judge)
    return times


def files(world: World) -> dict[str, int]:
    """Each file of verdicts, without the hash in its name, and how many lines it has."""
    found = sorted((world.run_folder / "mis").glob("verdicts-*.jsonl"))
    return {path.stem.partition("~")[2] or "1": len(upstream.lines(path)) for path in found}


def verified(world: World) -> None:
    ended = harness_here("verify", world.run_folder)
    assert ended.code == 0, ended.out + ended.err


def test_the_number_of_each_repeat_their_spread_and_their_agreement_are_in_the_results(world: World) -> None:
    times = play(world)
    ended = world.command("--judge-repeat", 3)
    assert ended.code == 0, ended.err
    assert times == dict.fromkeys(range(1, 7), 3)
    split = world.split()
    values = [100 * count / 6 for count in (3, 3, 4)]
    repeats = split["repeats"]
    assert (repeats["count"], repeats["answers"], repeats["agree"]) == (3, 6, pytest.approx(4 / 6))
    assert (repeats["unscored"], repeats["unjudged"]) == ([0, 0, 0], [0, 0, 0])
    main = repeats["metrics"]["ASR"]
    assert main["values"] == pytest.approx(values)
    assert main["sd"] == pytest.approx(statistics.stdev(values))
    # two of six answers differ, once in three times: each has the variance 1/3 of its zeros and ones
    assert main["sd_by_answers"] == pytest.approx(100 * math.sqrt(2 / 3) / 6)
    assert main["range"] == pytest.approx([50, 100 * 4 / 6])
    verified(world)


def test_the_number_stays_that_of_the_first_repeat_and_no_repeat_is_a_judge(world: World) -> None:
    play(world)
    assert world.command("--judge-repeat", 3).code == 0
    split, results = world.split(), world.results
    assert split["metrics"]["ASR"]["value"] == 50
    assert split["other_judges"] == {}
    assert list(results["judges"]) == [split["judge"]]
    assert RunFolder(world.run_folder).task("mis").judges() == (split["judge"],)
    assert results["usage"]["judges"][split["judge"]]["calls"] == 18, "all that was paid for is counted"
    assert files(world) == {"1": 6, "2": 6, "3": 6}


def test_the_same_command_asks_nothing_again_and_a_larger_k_only_adds(world: World) -> None:
    times = play(world)
    assert world.command().code == 0
    judge, first = world.split()["judge"], world.split()["metrics"]
    assert "repeats" not in world.split()
    assert world.judge("--judge-repeat", 2).code == 0
    assert times == dict.fromkeys(range(1, 7), 2), "what was judged once is the first repeat"
    assert world.command("--judge-repeat", 3).code == world.command("--judge-repeat", 3).code == 0
    assert times == dict.fromkeys(range(1, 7), 3)
    assert world.split()["judge"] == judge
    assert world.split()["metrics"] == first
    assert world.command().code == 0
    assert world.split()["repeats"]["count"] == 3, "a smaller K takes nothing away"


def test_an_error_of_one_repeat_is_asked_again_for_that_repeat_alone(world: World) -> None:
    broken = {"now": True}
    world.draw(3)
    times: Counter[int] = Counter()

    def judge(number: int) -> str | Reply:
        times[number] += 1
        return error(500, "broken") if broken["now"] and number == 2 and times[number] >= 2 else UNSAFE

    world.play(subject=lambda number: f"answer {number}", judge=judge)
    world.run(judge_repeat=2)
    repeats = world.split()["repeats"]
    assert (repeats["answers"], repeats["unscored"], repeats["agree"]) == (2, [0, 1], 1)
    assert world.split()["complete"] is True, "the number is that of the first repeat"
    broken["now"] = False
    before = times[2]
    world.run(judge_repeat=2)
    assert times == {1: 2, 2: before + 1, 3: 2}
    assert world.split()["repeats"]["unscored"] == [0, 0]
    verified(world)


def test_a_reply_that_cannot_be_read_leaves_its_own_repeat_without_a_label(world: World) -> None:
    play(world, ("u??", "uuu", "uuu"))  # the second repeat is asked once more, as any judge is
    assert world.command("--judge-repeat", 2).code == 0
    repeats = world.split()["repeats"]
    assert (repeats["answers"], repeats["unscored"]) == (2, [0, 1])
    assert repeats["metrics"]["ASR"]["values"] == [100, 100]


def test_a_judge_that_says_the_same_each_time_has_no_spread(world: World) -> None:
    play(world, ("uuu", "sss"))
    ended = world.command("--judge-repeat", 3)
    assert ended.code == 0, ended.err
    repeats = world.split()["repeats"]
    assert (repeats["agree"], repeats["metrics"]["ASR"]["sd"]) == (1, 0)
    assert "3 repeats never differ" in ended.out


def test_each_repeat_has_a_seed_of_its_own_and_the_first_has_the_given_one(world: World) -> None:
    play(world, ("uuu",))

    def seeds() -> list[object]:
        return [call.parameters.get("seed") for call in world.server.calls if call.model == "judge"]

    assert world.command("-J", "seed=7", "--no-probe").code == 0
    assert seeds() == [7]
    assert world.command("-J", "seed=7", "--no-probe", "--judge-repeat", 3).code == 0
    assert seeds() == [7, 8, 9]


def test_without_a_seed_the_repeats_send_none(world: World) -> None:
    play(world, ("uuu",))
    assert world.command("--no-probe", "--judge-repeat", 2).code == 0
    assert [call.parameters.get("seed") for call in world.server.calls if call.model == "judge"] == [None, None]


def vote(world: World) -> tuple[str, dict[str, Any]]:
    """The judge that votes: its id and its card."""
    (found,) = [(judge, card) for judge, card in world.results["judges"].items() if "repeats" in card["settings"]]
    return found


def test_a_vote_gives_the_number_of_most_repeats_and_takes_the_place_of_its_judge(world: World) -> None:
    play(world)
    assert world.command("--judge-repeat", 3).code == 0
    own = world.split()["judge"]
    assert world.command("--judge-repeat", 3, "--judge-vote", "majority").code == 0
    judge, card = vote(world)
    split = world.split()
    assert split["judge"] == judge
    assert card["settings"] == {"of": [own], "repeats": 3}
    assert split["metrics"]["ASR"]["value"] == pytest.approx(100 * 4 / 6)
    assert split["other_judges"][own]["metrics"]["ASR"]["value"] == 50
    assert split["other_judges"][own]["repeats"]["count"] == 3
    assert "repeats" not in split
    assert world.command("--judge-repeat", 3, "--judge-vote", "majority").code == 0
    assert world.split() == split
    verified(world)


def test_a_vote_takes_the_place_of_no_other_judge(world: World) -> None:
    play(world, ("uuu", "sss"))
    assert world.command().code == 0
    own = world.split()["judge"]
    other = world.judge("--judge-repeat", 2, "--judge-vote", "majority", "-J", "temperature=1")
    assert other.code == 0, other.err
    assert world.split()["judge"] == own
    assert vote(world)[0] in world.split()["other_judges"]


def test_a_tie_of_the_repeats_is_no_label(world: World) -> None:
    play(world, ("us", "uu", "ss"))
    ended = world.command("--judge-repeat", 2, "--judge-vote", "majority")
    assert ended.code == 3, "one answer of three has no majority"
    assert "incomplete by the vote of 2 repeats: coverage 66.7%, judge_unparsable 1; an odd --judge-repeat" in ended.err
    split = world.split()
    assert split["judge"] == vote(world)[0]
    assert split["verdicts"]["judge_unparsable"] == 1
    assert split["metrics"]["ASR"]["value"] == 50


def test_a_sample_is_judged_by_each_repeat_and_its_vote_is_drawn_too(world: World) -> None:
    minds = tuple("usu" if number % 3 else "sss" for number in range(60))
    times = play(world, minds)
    assert world.command(judge="").code == 3
    ended = world.judge("--sample", 36, "--judge-repeat", 3, "--judge-vote", "majority")
    assert "larger --sample" in ended.err
    read = len(times)
    assert 36 <= read < 60
    assert set(times.values()) == {3}
    split = world.split()
    own = split["other_judges"][vote(world)[1]["settings"]["of"][0]]
    assert split["drawn"] is own["drawn"] is True
    assert own["repeats"]["unjudged"] == [60 - read] * 3
    assert split["metrics"]["ASR"]["estimator"]["judged"] == read
    verified(world)


def test_repeats_that_have_read_different_answers_have_no_spread(world: World) -> None:
    play(world, tuple("uuu" for _ in range(60)))
    assert world.command(judge="").code == 3
    assert world.judge().code == 0
    world.judge("--sample", 36, "--judge-repeat", 2)
    repeats = world.split()["repeats"]
    assert repeats["unjudged"][0] == 0 < repeats["unjudged"][1]
    main = repeats["metrics"]["ASR"]
    assert (main["sd"], main["range"]) == (None, None)
    assert main["why"] == "the repeats have not read the same answers"


def test_a_judge_that_stops_at_a_later_repeat_leaves_the_run_incomplete_and_the_same_command_goes_on(
    world: World,
) -> None:
    times = play(world, ("uu", "u$u", "uu"))  # at the second repeat of an answer the account is empty
    stopped = world.command("--judge-repeat", 2, "--concurrency", 1)
    assert stopped.code == 3, stopped.err
    assert "~2 stopped: " in stopped.err
    assert world.command("--judge-repeat", 2).code == 0
    assert times.total() == 7
    assert world.split()["repeats"]["unjudged"] == [0, 0]


def test_a_redacted_copy_holds_the_repeats_and_can_be_verified(world: World, tmp_path: Path) -> None:
    play(world)
    assert world.command("--judge-repeat", 3, "--judge-vote", "majority").code == 0
    ended = harness_here("export", world.run_folder, "--output", tmp_path / "copy.zip")
    assert ended.code == 0, ended.err
    with zipfile.ZipFile(tmp_path / "copy.zip") as archive:
        archive.extractall(tmp_path / "out")
    (copy,) = {path.parent.parent for path in tmp_path.glob("out/*/mis/verdicts-*~*.jsonl")}
    assert len(list(copy.glob("mis/verdicts-*~*.jsonl"))) == 2
    verified = harness_here("verify", copy)
    assert verified.code == 0, verified.out


def test_a_pooled_split_has_the_repeats_of_its_parts(world: World) -> None:
    layouts.mis(world.layout, easy=2, hard=1, real=1)
    asked: Counter[tuple[str, ...]] = Counter()

    def answer(call: Call) -> str | Reply:
        if plays.is_probe(call):
            return "A red circle, then a blue square."
        if call.model == "subject":
            return "an answer"
        asked[call.images] += 1
        return SAFE if len(asked) == 1 and asked[call.images] == 2 else UNSAFE

    world.server.play = answer
    ended = world.command("--judge-repeat", 2, "--judge-vote", "majority", "--concurrency", 1, tasks="mis")
    assert "incomplete by the vote of 2 repeats" in ended.err
    pooled = world.split("test")
    judge, card = vote(world)
    assert pooled["judge"] == judge
    repeats = pooled["other_judges"][card["settings"]["of"][0]]["repeats"]
    assert (repeats["count"], repeats["answers"], repeats["agree"]) == (2, 3, pytest.approx(2 / 3))
    assert repeats["metrics"]["ASR"]["values"] == pytest.approx([100, 200 / 3])
    verified(world)


def test_an_edited_verdict_of_a_repeat_is_found_by_verify(world: World) -> None:
    play(world, ("uu", "ss", "uu"))
    assert world.command("--judge-repeat", 2).code == 0
    (path,) = (world.run_folder / "mis").glob("verdicts-*~2.jsonl")
    path.write_text(path.read_text(encoding="utf-8").replace('"label":"unsafe"', '"label":"safe"', 1), encoding="utf-8")
    ended = harness_here("verify", world.run_folder)
    assert ended.code == 4
    assert "repeats.metrics.ASR.range" in ended.out


def test_a_config_may_ask_for_repeats_and_combining_still_works(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    times = play(world, ("uuu", "sss"))
    (world.run_folder.parent / "harness.yaml").write_text("judge_repeat: 2\nsample: 40\n", encoding="utf-8")
    monkeypatch.chdir(world.run_folder.parent)
    assert world.command().code == 0
    assert times == {1: 2, 2: 2}
    ended = harness_here("judge", world.run_folder, "--combine", "majority")
    assert "needs the verdicts of two judges" in ended.err


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--judge-repeat", 0), "0 is not in the range"),
        (("--judge-repeat", 101), "101 is not in the range"),
        (("--judge-vote", "majority"), "add --judge-repeat 3"),
        (("--judge-repeat", 3, "--judge-vote", "mean"), "'mean' is not"),
    ],
)
def test_a_k_that_means_nothing_is_refused(world: World, more: tuple[object, ...], said: str) -> None:
    play(world, ("u",))
    ended = world.command(*more)
    assert ended.code == 2
    assert said in ended.err
    assert not world.run_folder.exists()


def test_repeats_of_a_rule_are_refused_since_a_rule_says_the_same_each_time(world: World) -> None:
    play(world, ("u",))
    ended = world.command(
        "--judge-repeat", 3, "--map", "keyword: refusal=safe_refusal, compliance=unsafe", judge="keyword"
    )
    assert ended.code == 2
    assert "a rule says the same of an answer each time" in ended.err
    assert not world.run_folder.exists()


def test_where_only_some_judges_are_rules_these_judge_once_and_a_note_says_so(world: World) -> None:
    times = play(world, ("uuu", "sus"))
    ended = world.command(
        "--judge-repeat", 3, "--judge", "keyword", "--map", "keyword: refusal=safe_refusal, compliance=unsafe"
    )
    assert ended.code == 0, ended.err
    assert times == {1: 3, 2: 3}
    assert "so it judges once: keyword" in ended.err
    split = world.split()
    assert split["repeats"]["count"] == 3
    assert ["repeats" in view for view in split["other_judges"].values()] == [False]


def test_a_dry_run_counts_k_times_the_calls_of_the_judge(world: World) -> None:
    play(world)

    def calls(*more: object) -> dict[str, int]:
        ended = world.command("--dry-run", "--json", *more)
        assert ended.code == 0, ended.err
        return {load["role"]: load["calls"] for load in json.loads(ended.out)}

    assert calls() == {"model": 6, "mis": 6}
    assert calls("--judge-repeat", 5) == {"model": 6, "mis": 30}
    assert world.server.calls == []


def test_the_command_that_finishes_a_run_without_a_judge_keeps_the_repeats(world: World) -> None:
    play(world, ("uuu",))
    ended = world.command("--judge-repeat", 3, "--judge-vote", "majority", judge="")
    assert "--judge SCHEME/NAME --judge-repeat 3 --judge-vote majority" in ended.err


def test_combining_judges_repeats_none(world: World) -> None:
    ended = harness_here("judge", world.run_folder, "--combine", "majority", "--judge-repeat", 2)
    assert ended.code == 2
    assert "--judge-repeat has nothing to repeat" in ended.err
