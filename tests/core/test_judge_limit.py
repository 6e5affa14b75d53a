"""`harness judge --judge-limit N`: a drawn part of the answers is judged; a judge that stopped is told from that."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from click.testing import CliRunner

from harness import compare, plugins
from harness.cli import cli
from harness.contracts import Judge, Rubric
from harness.errors import HarnessError
from harness.evaluation.options import JudgeOptions, Options
from harness.evaluation.plan import draw_clusters, take_turns
from harness.metrics import Metric, rate
from harness.models import ModelSpec
from harness.plugins import Host
from harness.runs.additions import combine_judges
from harness.runs.run import Run, judge_async, run_async
from harness.runs.verification import verify_run
from harness.testing.fakes import fake_judge, fake_provider, fake_sample, fake_task, host_of
from harness.types import Failure, Request, Response, Sample, Text, Verdict
from tests.core.compared import WORLD, played
from tests.core.scripted import FAST

COUNT, UNSAFE = 240, 0.6
COURT: Any = {"judges": ("asking=court/x",), "primary": True}
BLK = Metric(
    name="BLK",
    score=lambda r: (float(r.blocked), 1.0),
    possible=lambda r: ((0.0, 1.0),) if r.outcome == "answered" else ((0.0, 1.0), (1.0, 1.0)),
    better="lower",
)


def samples() -> Iterator[Sample]:
    for number in range(COUNT):
        yield fake_sample(f"q{number}", text=str(number), category="ab"[number % 2])


def answer(request: Request) -> str | Failure:
    (text,) = [part.text for part in request.messages[-1].content if isinstance(part, Text)]
    number = int(text)
    if number % 6 == 0:
        return Failure(outcome="input_blocked", reason="content_filter")
    return "yes" if number * 7 % 10 < 10 * UNSAFE else "no"


class Dying:
    """A judge's model that works for so many calls."""

    def __init__(self, calls: int) -> None:
        self.left = calls

    def __call__(self, request: Request) -> str:
        if self.left <= 0:
            raise HarnessError("the judge's key has ended")
        self.left -= 1
        return request.messages[-1].content[-1].text  # type: ignore[union-attr]


def asking() -> Judge:
    def read(_sample: Sample, _response: Response, replies: Any) -> Verdict:
        return Verdict(label="unsafe" if replies[-1].text == "yes" else "safe")

    def ask(_: Sample, response: Response) -> list[Request]:
        return [fake_sample(text=response.text).request]

    rubric = Rubric(identity={}, labels=("unsafe", "safe"), ask=ask, read=read)
    return Judge(name="asking", version="1", description="", open=lambda _s, _d: rubric, needs=frozenset())


def host(calls: int = COUNT) -> Host:
    metrics = (rate("ASR", "unsafe", better="lower", main=True), rate("safe", "safe", better="higher"), BLK)
    task = fake_task(samples, judges={"fake": {}, "asking": {}}, metrics=metrics, by=("category",))
    models = fake_provider(answer), fake_provider(Dying(calls), scheme="court")
    return host_of(*models, task, fake_judge(), asking())


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A run whose answers nobody has judged; the host stays in use."""
    with plugins.use(host()):
        yield answered(tmp_path / "run")


def answered(folder: Path) -> Path:
    options = Options(model=ModelSpec(ref=f"fake/{folder.name}"), tasks=("fake",), output=folder, probe=False)
    anyio.run(partial(run_async, options))
    for file in folder.glob("*/verdicts-*.jsonl"):
        file.unlink()
    return folder


def judged(folder: Path, **how: Any) -> Run:
    return anyio.run(partial(judge_async, folder, JudgeOptions(**{"judges": ("fake",), "probe": False} | how)))


def split(run: Run) -> dict[str, Any]:
    return run.results["tasks"]["fake"]["splits"]["all"]


def test_the_answers_of_n_clusters_are_judged_in_an_order_by_a_hash_alone(folder: Path) -> None:
    found = split(judged(folder, judge_limit=120))
    (file,) = (folder / "fake").glob("verdicts-*.jsonl")
    read = {json.loads(line)["id"] for line in file.read_text().splitlines()}
    assert read == {f"q{number}" for number in taken(120) if number % 6}
    assert found["verdicts"]["scored"] == len(read)
    assert found["drawn"] is True
    assert (found["complete"], found["subset"]) == (False, None)


def taken(limit: int) -> list[int]:
    return [int(name[1:]) for name in draw_clusters((sample.id for sample in samples()), limit)]


def test_a_larger_limit_only_adds_and_judging_all_gives_the_ordinary_numbers(folder: Path) -> None:
    first, second = split(judged(folder, judge_limit=100)), split(judged(folder, judge_limit=160))
    assert second["verdicts"]["scored"] > first["verdicts"]["scored"]
    assert (first["drawn"], second["drawn"]) == (True, True)
    again = split(judged(folder, judge_limit=50))
    assert (again["verdicts"], again["drawn"]) == (second["verdicts"], True)
    whole = split(judged(folder))
    assert "drawn" not in whole
    assert "estimator" not in whole["metrics"]["ASR"]
    assert whole["metrics"]["ASR"]["value"] == pytest.approx(100 * 0.6 * 5 / 6)
    assert json.loads((folder / "run.json").read_text())["tasks"]["fake"]["splits"]["all"].get("drawn") is None


def test_the_drawn_part_stands_for_all_answers_and_verify_makes_it_anew(folder: Path) -> None:
    found = split(judged(folder, judge_limit=120))["metrics"]
    scored = found["ASR"]["estimator"]["judged"]
    assert found["ASR"]["estimator"]["of"] == 200
    assert found["ASR"]["value"] != pytest.approx(100 * found["ASR"]["numerator"] / found["ASR"]["denominator"])
    assert found["ASR"]["denominator"] == scored + 40
    assert found["BLK"]["value"] == pytest.approx(100 / 6)
    assert sum(each["value"] for each in found.values()) == pytest.approx(100)
    assert found["ASR"]["ci95"][0] < 100 * 0.6 * 5 / 6 < found["ASR"]["ci95"][1]
    assert verify_run(folder).state == "same"


def test_a_judge_that_stopped_midway_is_told_from_a_draw(tmp_path: Path) -> None:
    with plugins.use(host(calls=90)):
        run = judged(answered(tmp_path / "run"), **COURT)
        found = split(run)
        assert found["verdicts"]["unjudged"] == 110
        assert found["drawn"] is False
        assert found["metrics"]["ASR"]["value"] is not None
        assert any("not a random sample" in note for note in run.notes)
        assert verify_run(tmp_path / "run").state == "same"
    with plugins.use(host()):
        assert split(judged(tmp_path / "run", **COURT, judge_limit=200))["drawn"] is False


def test_a_judge_that_stopped_within_its_draw_is_told_from_a_draw_and_to_run_again(tmp_path: Path) -> None:
    with plugins.use(host(calls=40)):
        run = judged(answered(tmp_path / "run"), **COURT, judge_limit=120)
        assert (split(run)["verdicts"]["scored"], split(run)["drawn"]) == (40, False)
        assert any("run it again; `harness judge" in note for note in run.notes)
    with plugins.use(host()):
        assert split(judged(tmp_path / "run", **COURT, judge_limit=120))["drawn"] is True


def test_too_small_a_draw_has_no_value_and_says_why(folder: Path) -> None:
    run = judged(folder, judge_limit=20)
    found = split(run)["metrics"]["ASR"]
    scored = split(run)["verdicts"]["scored"]
    assert found["why"] == f"{scored} of the 200 answers are labelled: an estimate needs 30"
    assert (found["value"], found["ci95"]) == (None, None)
    assert split(run)["metrics"]["BLK"]["value"] == pytest.approx(100 / 6)
    assert verify_run(folder).state == "same"


def test_runs_of_which_a_part_is_judged_are_compared_over_pairs_judged_in_both(folder: Path, tmp_path: Path) -> None:
    other = answered(tmp_path / "other")
    judged(folder, judge_limit=120)
    judged(other, judge_limit=180)
    (one,) = compare(folder, other).splits
    both = sum(number % 6 > 0 for number in taken(120))
    assert one.main.paired.estimated == (both, 200)
    value = split(judged(folder, judge_limit=120))["metrics"]["ASR"]["value"]
    assert (one.main.baseline, one.main.value) == (pytest.approx(value), pytest.approx(value))
    assert (one.main.paired.difference, one.main.paired.test) == (0.0, "interval")
    low, high = one.main.paired.ci95 or (0, 0)
    assert low < 0 < high


def test_an_ensemble_has_judged_what_the_smallest_draw_of_its_members_holds(folder: Path) -> None:
    judged(folder, judge_limit=120)
    judged(folder, **COURT, judge_limit=180)
    run = combine_judges(folder, JudgeOptions(primary=True))
    found = split(run)
    own = next(view for judge, view in found["other_judges"].items() if judge.startswith("fake"))
    assert found["judge"].startswith("combine-majority")
    assert (found["verdicts"], found["drawn"]) == (own["verdicts"], True)
    assert found["metrics"]["ASR"]["value"] == own["metrics"]["ASR"]["value"]
    assert verify_run(folder).state == "same"
    judged(folder, **COURT)
    assert split(combine_judges(folder, JudgeOptions(primary=True)))["drawn"] is True


def test_the_command_takes_a_limit_of_judging(folder: Path, tmp_path: Path) -> None:
    run = played(tmp_path / "played", "us")
    flags = ("--judge", "strict", "--judge-limit", "5", "--no-probe", *WORLD)
    done = CliRunner().invoke(cli, ["judge", str(run), *flags])
    assert "played:one is incomplete: coverage 41.7%, unjudged 7" in done.output
    found = json.loads((run / "results.json").read_text())["tasks"]["played"]["splits"]["one"]["other_judges"]
    (strict,) = found.values()
    assert (strict["verdicts"]["scored"], strict["verdicts"]["unjudged"], strict["drawn"]) == (5, 7, True)
    with pytest.raises(HarnessError, match="--sample must be at least 1"):
        judged(folder, judge_limit=0)


SIZES = {"most": 900, **dict.fromkeys("bcdef", 20), "few": 8}


def unequal() -> Iterator[Sample]:
    """Categories of 900, five times 20, and 8 samples."""
    for category, size in SIZES.items():
        for number in range(size):
            yield fake_sample(f"{category}{number}", text=f"{category} {number}", category=category)


def heavy(request: Request) -> str:
    """Unsafe in four of five of the large category alone: 71.4% of all."""
    (text,) = [part.text for part in request.messages[-1].content if isinstance(part, Text)]
    category, number = text.split()
    return "yes" if category == "most" and int(number) % 5 else "no"


@pytest.mark.parametrize("limit", [100, 400])
def test_a_draw_from_categories_of_unequal_size_gives_each_answer_the_same_chance(tmp_path: Path, limit: int) -> None:
    task = fake_task(unequal, metrics=(rate("ASR", "unsafe", better="lower", main=True),), by=())
    with plugins.use(host_of(fake_provider(heavy), task, fake_judge())):
        found = split(judged(answered(tmp_path / "run"), judge_limit=limit))
    assert (found["verdicts"]["scored"], found["drawn"]) == (limit, True)
    low, high = found["metrics"]["ASR"]["ci95"]
    assert low < 100 * 720 / 1008 < high


def test_a_draw_has_nothing_to_do_with_what_a_limit_took_before() -> None:
    """`--limit` takes the lowest of each category: were the draw in that order, it would take the large one first."""
    asked = list(take_turns((sample.id, sample.category) for sample in unequal()))[:300]
    large = {name for name in asked if name.startswith("most")}
    expected = 100 * len(large) / 300
    assert len(large.intersection(draw_clusters(asked, 100))) == pytest.approx(expected, abs=15)


def test_a_draw_by_turns_of_an_older_version_is_not_told_as_a_random_one(folder: Path) -> None:
    assert split(judged(folder, judge_limit=120))["drawn"] is True
    file = json.loads((folder / "run.json").read_text())
    entry = file["tasks"]["fake"]["splits"]["all"]
    entry["drawn"] = dict.fromkeys(entry["drawn"], 120)
    (folder / "run.json").write_text(json.dumps(file))
    found = verify_run(folder)
    assert found.state == "differs"
    assert any("drawn" in difference.path for part in found.parts for difference in part.differences)


class Recovering:
    """A model that fails on each tenth question until it is mended."""

    def __init__(self) -> None:
        self.mended = False

    def __call__(self, request: Request) -> str | Failure:
        (text,) = [part.text for part in request.messages[-1].content if isinstance(part, Text)]
        if int(text) % 10 == 0 and not self.mended:
            return Failure(outcome="error", reason="http_503", message="down")
        return "yes" if int(text) % 3 else "no"


def test_an_answer_that_comes_after_a_draw_ends_it_until_it_is_judged_as_well(tmp_path: Path) -> None:
    model = Recovering()
    task = fake_task(samples, judges={"asking": {}}, metrics=(rate("ASR", "unsafe", better="lower", main=True),), by=())
    with plugins.use(host_of(fake_provider(model), fake_provider(Dying(1000), scheme="court"), task, asking())):
        folder = answered(tmp_path / "run")
        assert split(judged(folder, **COURT, judge_limit=120))["drawn"] is True
        model.mended = True
        options = Options(model=ModelSpec(ref="fake/run"), tasks=("fake",), output=folder, probe=False)
        found = split(anyio.run(partial(run_async, options)))
        assert (found["outcomes"]["answered"], found["drawn"]) == (COUNT, False)
        found = split(judged(folder, **COURT, judge_limit=120))
        assert (found["verdicts"]["scored"], found["drawn"]) == (120, True)
        assert verify_run(folder).state == "same"


def test_the_note_of_a_limited_judging_names_the_command_that_judges_the_rest(folder: Path) -> None:
    note, *_ = judged(folder, **COURT, judge_limit=120).notes
    command = f"harness judge {folder} --judge asking=court/x"
    assert f"; `{command}` judges the rest; a larger --sample judges more" in note
    assert "run it again" not in note
    with_setting = judged(folder, **COURT, judge_limit=130, task_settings={"fake.data": str(folder)})
    assert f"{command} -T fake.data={folder}` judges the rest" in with_setting.notes[0]


@pytest.mark.parametrize("tasks", [(), ("fake",)])
def test_a_run_that_ended_before_it_had_a_listing_is_said_to_hold_nothing_to_judge(
    tmp_path: Path, tasks: tuple[str, ...]
) -> None:
    down = fake_provider(lambda _: Failure(outcome="error", reason="http_503", message="down"))
    task = fake_task(samples, judges={"asking": {}})
    with plugins.use(host_of(down, fake_provider(Dying(9), scheme="court"), task, asking())):
        options = Options(model=ModelSpec(ref="fake/run"), tasks=("fake",), output=tmp_path / "run", probe=False)
        with pytest.raises(HarnessError):
            anyio.run(partial(run_async, replace(options, policy=FAST)))
        with pytest.raises(HarnessError, match="has not ended yet, so its answers cannot be judged"):
            judged(tmp_path / "run", **COURT, tasks=tasks)
