"""`harness judge --combine majority`: one more judge, made of the verdicts of a run."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from click.testing import CliRunner

from harness import plugins
from harness.cli import cli
from harness.contracts import Decision, Judge, Rubric
from harness.errors import HarnessError
from harness.evaluation.options import JudgeOptions, Options
from harness.models import ModelSpec
from harness.plugins import Host
from harness.runs.additions import combine_judges, find_majority
from harness.runs.run import Run, judge_async, run_async
from harness.testing.fakes import fake_provider, fake_task, host_of
from harness.types import Failure, Request, Response, Sample, Text, Unscored, Verdict


@pytest.mark.parametrize(
    ("votes", "expected"),
    [
        ("aab", "a"),
        ("ab", "no majority: a 1, b 1"),
        ("aabb", "no majority: a 2, b 2"),
        ("aabc", "no majority: a 2, b 1, c 1"),
        ("aa-", "a"),
        ("ab-", "j2 has not judged this answer"),
    ],
)
def test_more_than_half_of_all_is_a_majority_and_less_is_none(votes: str, expected: str) -> None:
    found = find_majority({f"j{at}": None if vote == "-" else Verdict(label=vote) for at, vote in enumerate(votes)})
    assert (found.label if isinstance(found, Verdict) else found.message) == expected


#: what the three judges say of each answer, a letter each: bad, good, or no verdict
SAID = {
    "bbb": "unsafe",
    "bbg": "unsafe",
    "gbg": "safe",
    "bb?": "unsafe",
    "?gg": "safe",
    "b?g": "",
    "??b": "",
    "???": "",
    "ggg": "safe",
}
WORDS = {"one": {"b": "unsafe", "g": "safe"}, "two": {"b": "yes", "g": "no"}, "three": {"b": "harm", "g": "none"}}
TRANSLATIONS = {
    "one": dict[str, str](),
    "two": {"yes": "unsafe", "no": "safe"},
    "three": {"harm": "unsafe", "none": "safe"},
}


def rule(at: int, name: str) -> Judge:
    def read(_sample: Sample, response: Response, _replies: Sequence[Response]) -> Decision:
        letter = response.text[at]
        if letter == "?":
            return Unscored(state="judge_unparsable", message=f"{name} cannot tell")
        return Verdict(label=WORDS[name][letter], axes={"by": name}, reason=f"{name} says so")

    rubric = Rubric(identity={}, labels=tuple(WORDS[name].values()), read=read)
    return Judge(name=name, version="1", description="a rule", open=lambda _s, _d: rubric)


JUDGES = [rule(at, name) for at, name in enumerate(WORDS)]
BLOCK = Failure(outcome="input_blocked", reason="content_filter")


def answer(request: Request) -> str | Failure:
    (text,) = [part.text for part in request.messages[-1].content if isinstance(part, Text)]
    return BLOCK if text == "block" else text


def host() -> Host:
    questions = {**{f"q{at}": letters for at, letters in enumerate(SAID)}, "blocked": "block"}
    return host_of(fake_provider(answer), fake_task(questions, judges=TRANSLATIONS), *JUDGES)


def go(folder: Path, *judges: str) -> Run:
    options = Options(model=ModelSpec(ref="fake/x"), tasks=("fake",), judges=judges, output=folder, probe=False)
    return anyio.run(partial(run_async, options))


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A run that all three have judged; the host stays in use."""
    with plugins.use(host()):
        go(tmp_path / "run", *WORDS)
        yield tmp_path / "run"


def split(run: Run) -> dict[str, Any]:
    return run.results["tasks"]["fake"]["splits"]["all"]


def ensemble(run: Run) -> tuple[str, dict[str, Any]]:
    """Its id, and the split as it sees it."""
    (found,) = [judge for judge, card in run.results["judges"].items() if card["rubric"] == "combine-majority"]
    seen = split(run)
    return found, seen if seen["judge"] == found else seen["other_judges"][found]


def lines(folder: Path) -> list[dict[str, Any]]:
    (file,) = (folder / "fake").glob("verdicts-combine-majority-*.jsonl")
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_the_label_of_more_than_half_counts_in_the_words_of_the_split(folder: Path) -> None:
    run = combine_judges(folder, JudgeOptions())
    _, view = ensemble(run)
    expected = Counter(label for label in SAID.values() if label)
    assert view["labels"] == {**expected, "blocked": 1}
    assert view["verdicts"]["scored"] == expected.total()
    assert view["verdicts"]["judge_unparsable"] == len(SAID) - expected.total()
    assert {line["id"]: line["label"] or "" for line in lines(folder)} == {
        f"q{at}": label for at, label in enumerate(SAID.values())
    }


def test_the_metric_is_what_the_published_formula_gives_on_the_majority(folder: Path) -> None:
    _, view = ensemble(combine_judges(folder, JudgeOptions()))
    bad = good = 0
    for letters in SAID:
        votes = Counter(letters)
        bad += votes["b"] >= 2
        good += votes["g"] >= 2
    metric = view["metrics"]["ASR"]
    assert (metric["numerator"], metric["denominator"]) == (bad, bad + good + 1)
    assert metric["unresolved"] == len(SAID) - bad - good


def test_axes_and_reason_are_those_of_the_first_judge_that_says_so(folder: Path) -> None:
    combine_judges(folder, JudgeOptions())
    by_id = {line["id"]: line for line in lines(folder)}
    assert by_id["q0"]["axes"] == {"by": "one"}
    assert by_id["q0"]["reason"] == "3 of 3: one says so"
    assert by_id["q4"]["axes"]["by"] != "one"
    assert by_id["q4"]["reason"].startswith("2 of 3: ")


def test_an_answer_without_a_majority_has_the_reason_of_who_gave_no_verdict(folder: Path) -> None:
    combine_judges(folder, JudgeOptions())
    found = {line["id"]: line for line in lines(folder)}["q5"]
    assert (found["state"], found["label"]) == ("judge_unparsable", None)
    assert "two cannot tell" in found["reason"]


def test_nobody_is_asked_and_the_data_is_not_read(folder: Path) -> None:
    def broken(_: Request) -> str:
        raise AssertionError("a model was asked")

    def gone() -> Iterator[Sample]:
        raise AssertionError("the data was read")

    with plugins.use(host_of(fake_provider(broken), fake_task(gone, judges=TRANSLATIONS), *JUDGES)):
        run = combine_judges(folder, JudgeOptions())
    assert ensemble(run)[1]["verdicts"]["scored"] == sum(map(bool, SAID.values()))


def test_the_first_judge_stays_the_primary_one_unless_the_ensemble_is_made_so(folder: Path) -> None:
    run = combine_judges(folder, JudgeOptions())
    assert split(run)["judge"].startswith("one-")
    run = combine_judges(folder, JudgeOptions(primary=True))
    assert split(run)["judge"] == ensemble(run)[0]


@pytest.mark.parametrize("primary", [False, True])
def test_given_again_it_writes_only_what_has_changed_and_is_no_member_of_itself(folder: Path, primary: bool) -> None:
    first = combine_judges(folder, JudgeOptions(primary=primary))
    again = combine_judges(folder, JudgeOptions(primary=primary))
    assert ensemble(again) == ensemble(first)
    assert len(lines(folder)) == len(SAID)
    members = first.results["judges"][ensemble(first)[0]]["settings"]["of"]
    assert sorted(member.partition("-")[0] for member in members) == ["one", "three", "two"]


def test_a_changed_verdict_changes_the_ensembles(folder: Path) -> None:
    combine_judges(folder, JudgeOptions())
    (file,) = (folder / "fake").glob("verdicts-one-*.jsonl")
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    (row,) = [row for row in rows if row["id"] == "q5"]
    with file.open("a") as out:
        row |= {"state": "scored", "label": "safe", "reason": ""}
        out.write(json.dumps(row, separators=(",", ":")) + "\n")
    combine_judges(folder, JudgeOptions())
    assert [line["label"] for line in lines(folder) if line["id"] == "q5"] == [None, "safe"]


def test_other_members_make_another_judge(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    (file,) = (copy / "fake").glob("verdicts-three-*.jsonl")
    file.unlink()
    whole, two = combine_judges(folder, JudgeOptions()), combine_judges(copy, JudgeOptions())
    assert ensemble(whole)[0] != ensemble(two)[0]
    assert ensemble(two)[1]["verdicts"]["scored"] == sum(letters[:2] in {"bb", "gg"} for letters in SAID)


def test_a_judge_that_never_came_to_a_verdict_has_no_vote(tmp_path: Path) -> None:
    questions = {"a": "bb?", "b": "gg?", "c": "bg?"}
    with plugins.use(host_of(fake_provider(answer), fake_task(questions, judges=TRANSLATIONS), *JUDGES)):
        go(tmp_path, *WORDS)
        _, view = ensemble(combine_judges(tmp_path, JudgeOptions()))
    assert view["labels"] == {"unsafe": 1, "safe": 1}
    assert {line["id"]: line["reason"] for line in lines(tmp_path)}["c"] == "no majority: safe 1, unsafe 1"


def test_what_stays_open_makes_the_ensemble_incomplete(folder: Path) -> None:
    run = combine_judges(folder, JudgeOptions())
    assert run.exit_code == 3
    assert any("judge_unparsable 3" in note for note in run.notes)
    assert combine_judges(folder, JudgeOptions(min_coverage=0.5)).exit_code == 0


def test_one_judge_alone_is_no_ensemble(tmp_path: Path) -> None:
    with plugins.use(host()):
        go(tmp_path, "one")
        with pytest.raises(HarnessError, match="two judges"):
            combine_judges(tmp_path, JudgeOptions())
        anyio.run(partial(judge_async, tmp_path, JudgeOptions(judges=("two",))))
        assert ensemble(combine_judges(tmp_path, JudgeOptions()))[1]["verdicts"]["scored"] > 0


def test_the_run_goes_on_and_is_judged_again_beside_its_ensemble(folder: Path) -> None:
    made = ensemble(combine_judges(folder, JudgeOptions()))
    assert ensemble(go(folder, "two")) == made
    assert ensemble(anyio.run(partial(judge_async, folder, JudgeOptions(judges=("three",))))) == made


def test_neither_people_nor_other_ensembles_vote(folder: Path) -> None:
    combine_judges(folder, JudgeOptions())
    file = folder / "run.json"
    run = json.loads(file.read_text())
    run["judges"]["human-ada"] = {**next(iter(run["judges"].values())), "rubric": "human"}
    file.write_text(json.dumps(run))
    (known,) = (folder / "fake").glob("verdicts-one-*.jsonl")
    shutil.copy(known, folder / "fake" / "verdicts-human-ada.jsonl")
    found = combine_judges(folder, JudgeOptions())
    members = found.results["judges"][ensemble(found)[0]]["settings"]["of"]
    assert [member.partition("-")[0] for member in members] == ["one", "three", "two"]


def of(run: Run) -> list[str]:
    """The members of the ensembles, by the names of their rubrics."""
    cards = [card for card in run.results["judges"].values() if card["rubric"] == "combine-majority"]
    return [" ".join(member.partition("-")[0] for member in card["settings"]["of"]) for card in cards]


def test_only_the_members_that_are_named_vote_and_make_a_judge_of_their_own(folder: Path) -> None:
    run = combine_judges(folder, JudgeOptions(members=("two", "one")))
    assert of(run) == ["one two"]
    assert ensemble(run)[1]["verdicts"]["scored"] == sum(letters[:2] in {"bb", "gg"} for letters in SAID)
    by_id = [judge for judge in run.results["judges"] if judge.startswith(("one-", "three-"))]
    assert sorted(of(combine_judges(folder, JudgeOptions(members=tuple(by_id))))) == ["one three", "one two"]
    assert sorted(of(combine_judges(folder, JudgeOptions()))) == ["one three", "one three two", "one two"]


@pytest.mark.parametrize(
    ("members", "said", "mended"),
    [
        (("one", "tow"), "--members tow: no judge of this run", "did you mean 'two'?"),
        (("one",), "needs two judges, but only one-", ""),
        (("one", "combine-majority"), "is an ensemble or a person", "may be members: one-"),
    ],
)
def test_members_that_cannot_be_are_refused_and_nothing_is_written(
    folder: Path, members: tuple[str, ...], said: str, mended: str
) -> None:
    combine_judges(folder, JudgeOptions())
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(HarnessError, match=said) as caught:
        combine_judges(folder, JudgeOptions(members=members))
    assert mended in caught.value.remedy
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_a_member_that_is_named_and_has_judged_nothing_of_a_split_is_told(folder: Path) -> None:
    (file,) = (folder / "fake").glob("verdicts-three-*.jsonl")
    file.write_text("")
    with pytest.raises(HarnessError, match=r"three-\w+ has given no verdict on fake:all") as caught:
        combine_judges(folder, JudgeOptions(members=("one", "two", "three")))
    assert caught.value.where == str(folder)
    assert of(combine_judges(folder, JudgeOptions(members=("one", "two")))) == ["one two"]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("--members one,three", "--members needs --combine majority"),
        ("--combine majority --judge one", "--combine asks no judge"),
        ("--combine majority --judge-limit 3", "--sample has nothing to limit"),
    ],
)
def test_the_command_refuses_flags_that_do_not_go_together(tmp_path: Path, flags: str, said: str) -> None:
    refused = CliRunner().invoke(cli, ["judge", str(tmp_path), *flags.split()])
    assert (refused.exit_code, said in refused.output) == (2, True)
