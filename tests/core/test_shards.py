"""A shard of a run: which clusters it answers, where it lies, and what its folder says of it."""

import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import plugins
from harness.contracts import Answered, Ask, Decision, Judge, Rubric, Task
from harness.errors import HarnessError
from harness.evaluation.options import JudgeOptions, parse_shard
from harness.evaluation.plan import Survey, survey_samples
from harness.limits import Policy
from harness.runs.selection import plan_judging
from harness.store.folder import RunFolder
from harness.store.shards import find_base, list_shards
from harness.testing.fakes import fake_judge, fake_sample, fake_task, host_of
from harness.types import Failure, Message, Request, Sample, Settings, Text, Verdict
from tests.core.carried import Server, go, lines, numbered, split

QUESTION = Request(messages=(Message(role="user", content=(Text(text="?"),)),))
SAMPLES = [
    Sample(id=str(n), split="s", request=QUESTION, category="abc"[n % 3], cluster=f"c{n // 2}") for n in range(60)
]


def survey_shards(count: int, limit: int | None = None, samples: Sequence[Sample] = SAMPLES) -> list[Survey]:
    return [survey_samples(samples, limit, (number, count)) for number in range(count)]


@given(st.integers(1, 9), st.one_of(st.none(), st.integers(1, 30)))
def test_shards_share_out_what_the_limit_takes_and_no_cluster_is_cut(count: int, limit: int | None) -> None:
    whole, shards = survey_samples(SAMPLES, limit), survey_shards(count, limit)
    for each in SAMPLES:
        assert sum(shard.takes(each) for shard in shards) == whole.takes(each)
    for shard in shards:
        taken = {each.cluster for each in SAMPLES if shard.takes(each)}
        assert shard.samples == sum(each.cluster in taken for each in SAMPLES if whole.takes(each))
        assert (shard.whole, shard.found) == (whole.samples, 60)


def test_all_shards_list_the_same_whatever_the_order_of_the_file_and_other_data_differs() -> None:
    turned = list(reversed(SAMPLES))
    assert {each.listing for each in (*survey_shards(4), *survey_shards(3, samples=turned))} == {
        survey_shards(1)[0].listing
    }
    assert (
        survey_shards(4, 7)[0].listing != survey_shards(4)[0].listing != survey_shards(4, samples=turned[1:])[0].listing
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("4/4", r"there is no such shard.*0/4 to 3/4 \(--array=0-3\)"),
        ("9/4", "there is no such shard.*0/4 to 3/4"),
        ("0/0", "n must be at least 1"),
        ("0/10001", "at most 10,000"),
        ("1", "not of the form i/n"),
        ("-1/4", "not of the form i/n"),
        ("a/b", "not of the form i/n"),
    ],
)
def test_a_shard_that_cannot_be_is_refused_with_the_ones_that_can(text: str, said: str) -> None:
    with pytest.raises(HarnessError, match=f"(?s){said}"):
        parse_shard(text)


def run_shard(server: Server, folder: Path, number: int, count: int, *extra: Any, **fields: Any) -> Any:
    return go(server, folder, *extra, shard=(number, count), **fields)


def test_a_shard_is_an_ordinary_run_folder_below_the_runs(tmp_path: Path) -> None:
    server = Server()
    run = run_shard(server, tmp_path / "run", 1, 3)
    assert run.folder == tmp_path / "run" / ".shards" / "1-of-3"
    assert find_base(run.folder) == tmp_path / "run"
    assert list(list_shards(tmp_path / "run")) == [(1, 3)]
    assert 0 < len(lines(run.folder)) == len(server.asked) < 10
    assert run.exit_code == 0
    assert run_shard(server, tmp_path / "run", 1, 3).exit_code == 0
    assert len(server.asked) == len(lines(run.folder))


def test_the_keys_and_the_identity_of_a_shard_are_those_of_the_run(tmp_path: Path) -> None:
    whole = go(Server(), tmp_path / "whole")
    shards = [run_shard(Server(), tmp_path / "run", number, 3) for number in range(3)]
    keys = [line["key"] for each in shards for line in lines(each.folder)]
    assert sorted(keys) == sorted(line["key"] for line in lines(whole.folder))
    files = [RunFolder(each.folder).load_run() for each in (whole, *shards)]
    assert len({json.dumps(file.identity, sort_keys=True) for file in files}) == 1
    assert [file.part for file in files] == [None, (0, 3), (1, 3), (2, 3)]


def test_results_and_notes_say_that_a_shard_is_no_run(tmp_path: Path) -> None:
    run = run_shard(Server(), tmp_path / "run", 0, 2)
    assert run.results["shard"] == {"index": 0, "of": 2}
    assert split(run)["subset"] == {"shard": "0/2"}
    assert f"harness merge {tmp_path / 'run'}" in run.notes[-1]
    assert "shard" not in go(Server(), tmp_path / "whole").results


def test_a_shard_without_a_cluster_is_done(tmp_path: Path) -> None:
    codes = [run_shard(Server(), tmp_path / "run", number, 50).exit_code for number in range(50)]
    assert codes == [0] * 50


def test_a_folder_with_shards_of_another_number_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    run_shard(Server(), tmp_path / "run", 0, 2)
    server = Server()
    with pytest.raises(HarnessError, match=r"(?s)shards of 2, not of 3.*--shard i/2"):
        run_shard(server, tmp_path / "run", 0, 3)
    assert server.asked == []


def test_fresh_moves_one_shard_away_and_no_other(tmp_path: Path) -> None:
    for number in (0, 1):
        run_shard(Server(), tmp_path / "run", number, 2)
    server = Server()
    run_shard(server, tmp_path / "run", 0, 2, fresh=True)
    assert len(server.asked) == len(lines(tmp_path / "run" / ".shards" / "0-of-2"))
    assert list(list_shards(tmp_path / "run")) == [(0, 2), (1, 2)]


def whole_judge(calls: list[int], **fields: Any) -> Judge:
    async def score(rows: Sequence[Answered], _: Path, __: Ask) -> AsyncIterator[tuple[str, Decision]]:
        calls.append(len(rows))
        for row in rows:
            yield row.item, Verdict(label="unsafe")

    rubric = Rubric(identity={}, labels=("unsafe", "safe"), score=score)

    def open_rubric(_: Settings, __: Path) -> Rubric:
        return rubric

    return Judge(name="whole", version="1", description="a fake", open=open_rubric, **fields)


def whole_task() -> Task:
    return fake_task(numbered(10), judges={"whole": {}, "rule": {}})


def test_a_rubric_of_a_whole_split_is_left_to_the_merged_run_and_does_not_make_the_shard_incomplete(
    tmp_path: Path,
) -> None:
    calls: list[int] = []
    run = run_shard(Server(), tmp_path / "run", 0, 2, whole_judge(calls), task=whole_task())
    assert (run.exit_code, calls) == (0, [])
    assert any("'whole' scores all answers at once" in note for note in run.notes)
    (entry,) = RunFolder(run.folder).load_run().shard["splits"]["fake:all"]["deferred"]
    assert (entry["rubric"], entry["primary"]) == ("whole", True)


def test_an_answer_that_failed_makes_a_shard_incomplete_whoever_scores_the_rest(tmp_path: Path) -> None:
    def play(text: str) -> str | Failure:
        return Failure(outcome="error", reason="odd", message="odd") if text.endswith("3") else "yes"

    codes = {
        run_shard(Server(play), tmp_path / "run", number, 2, whole_judge([]), task=whole_task()).exit_code
        for number in (0, 1)
    }
    assert codes == {0, 3}


def test_judging_a_shard_by_a_rubric_of_a_whole_split_is_refused_with_the_commands(tmp_path: Path) -> None:
    run = run_shard(Server(), tmp_path / "run", 0, 2, whole_judge([]), task=whole_task())
    with (
        plugins.use(host_of(Server().provider, whole_task(), fake_judge(), whole_judge([]))),
        pytest.raises(HarnessError, match=r"(?s)this is a shard.*harness merge .*run, then harness judge"),
    ):
        plan_judging(RunFolder(run.folder), JudgeOptions(judges=("whole",)))


def test_clusters_of_several_samples_stay_together(tmp_path: Path) -> None:
    samples = [fake_sample(f"q{n}", text=f"question {n}", cluster=f"c{n // 2}") for n in range(12)]
    shards = [run_shard(Server(), tmp_path / "run", number, 3, task=fake_task(lambda: samples)) for number in range(3)]
    places: dict[int, set[int]] = {}
    for number, each in enumerate(shards):
        for line in lines(each.folder):
            places.setdefault(int(line["id"][1:]) // 2, set()).add(number)
    assert [len(found) for found in places.values()] == [1] * 6


def test_judging_a_shard_has_its_part_of_the_limits_as_the_shard_itself_has(tmp_path: Path) -> None:
    limits: dict[str, Any] = {"policy": Policy(rpm=100, tpm=4000, cap=8), "max_usd": 2.0}
    run = run_shard(Server(), tmp_path / "run", 1, 4)
    with plugins.use(host_of(Server().provider, fake_task(numbered(10)), fake_judge())):
        plan = plan_judging(RunFolder(run.folder), JudgeOptions(judges=("fake",), **limits))
    assert (plan.options.limit_usd, plan.options.shared_policy) == (0.5, Policy(rpm=25, tpm=1000, cap=8))
