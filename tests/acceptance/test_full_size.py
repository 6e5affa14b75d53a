"""A run of full size over real HTTP, held to upstream's formulas written out a second time.

One command answers and judges MIS (1675, 510, 100) and MSSBench (300 and 76 records); others add its yes/no settings.
Everything below only looks at what they left: the server's log, the run folder and results.json.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import jsonschema
import pytest

import harness
from harness import Policy
from harness.testing.server import Call, ChatServer
from tests.acceptance import commands, layouts, plays, upstream
from tests.acceptance.comparing import same, same_by
from tests.acceptance.layouts import Layout
from tests.acceptance.upstream import Figure, Item

pytestmark = pytest.mark.slow

SCHEMA = Path(__file__).parents[2] / "docs" / "results.schema.json"
SIZES = {"easy": 1675, "hard": 510, "real": 100, "chat": 1200, "embodied": 620}
SETTINGS = {"qc": (1200, 620), "ic": (600, 152)}
ASKED = (("mis", "easy"), ("mis", "hard"), ("mis", "real"), ("mssbench", "chat"), ("mssbench", "embodied"))
COVERAGE = 0.8  #: the server plays every fault, so less is resolved than a real run would need


@dataclass(frozen=True)
class Done:
    """All that the commands left behind."""

    layout: Layout
    folder: Path
    ended: commands.Ended
    main: tuple[Call, ...]
    settings: Mapping[str, tuple[Call, ...]]
    ended_again: commands.Ended
    again: tuple[Call, ...]

    @cached_property
    def results(self) -> dict[str, Any]:
        """results.json after all commands."""
        return dict(json.loads((self.folder / "results.json").read_text(encoding="utf-8")))

    def split(self, task: str, split: str) -> dict[str, Any]:
        """What results.json says of a split."""
        return dict(self.results["tasks"][task]["splits"][split])

    def items(self, task: str, split: str) -> list[Item]:
        """The current items of a split, as the files tell them."""
        return upstream.items(self.folder / task, split)

    def asked(self, model: str) -> list[Call]:
        """What one model was asked by the first command, without the probe."""
        return [call for call in self.main if call.model == model and not plays.is_probe(call)]

    def digests(self, *paths: str) -> tuple[str, ...]:
        """sha256 of image files, as they were drawn."""
        return tuple(self.layout.files[path] for path in paths)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Done]:
    """Draw the data, run the commands, and keep what they left."""
    folder = tmp_path_factory.mktemp("full")
    layout = Layout(folder / "data")
    layouts.mis(layout, easy=SIZES["easy"], hard=SIZES["hard"], real=SIZES["real"])
    layouts.mssbench(layout, chat=300, embodied=76)
    with ChatServer(plays.both) as server:
        where, run = f"base_url={server.base_url}", folder / "run"
        command = (
            *("run", "--model", "openai/subject", "--tasks", "mis,mssbench", "--judge", "openai/judge"),
            *("-M", where, "-J", where, "--data", layout.root, "--output", run, "--min-coverage", COVERAGE),
        )
        ended = commands.harness(*command)
        main = _taken(server)
        settings: dict[str, tuple[Call, ...]] = {}
        for setting in SETTINGS:
            _yes_or_no(server, setting, layout.root, run)
            settings[setting] = _taken(server)
        again = commands.harness_here(*command)
        yield Done(layout, run, ended, main, settings, again, _taken(server))


def _yes_or_no(server: ChatServer, setting: str, data: Path, run: Path) -> None:
    harness.run(
        "openai/subject",
        ["mssbench"],
        model_settings={"base_url": server.base_url},
        task_settings={"mssbench.setting": setting},
        data=data,
        output=run,
        min_coverage=COVERAGE,
        probe=False,
    )


def _taken(server: ChatServer) -> tuple[Call, ...]:
    """The calls since the last time."""
    calls = tuple(server.calls)
    server.calls.clear()
    return calls


def test_the_command_ends_well_and_leaves_results_of_the_published_schema(done: Done) -> None:
    assert done.ended.code == 0, done.ended.err
    assert "mis:easy" in done.ended.out
    assert "mssbench:embodied" in done.ended.out
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    assert [error.message for error in jsonschema.Draft202012Validator(schema).iter_errors(done.results)] == []


@pytest.mark.parametrize("split", ["easy", "hard", "real"])
def test_mis_has_the_counts_and_values_of_upstreams_formulas(done: Done, split: str) -> None:
    found, items = done.split("mis", split), done.items("mis", split)
    assert found["n"] == found["n_expected"] == found["records"] == len(items) == SIZES[split]
    assert found["outcomes"] == upstream.outcomes(items)
    assert found["verdicts"] == upstream.verdicts(items)
    classes = Counter(upstream.mis_class(item) for item in items)
    unknown = classes.pop(None)
    assert found["labels"] == classes
    assert found["coverage"] == pytest.approx(1 - unknown / SIZES[split])
    same(found["metrics"], upstream.mis_figures(items))


@pytest.mark.parametrize("split", ["easy", "hard", "real"])
def test_mis_has_them_in_each_category_too(done: Done, split: str) -> None:
    found, items = done.split("mis", split), done.items("mis", split)
    assert set(found["by"]["category"]) == set(layouts.MIS_CATEGORIES)
    same_by(found["by"]["category"], items, lambda item: str(item.asked["category"]), upstream.mis_figures)
    inner = found["by"]["sub_category"]
    assert set(inner) == {name for names in layouts.MIS_CATEGORIES.values() for name in names}
    same_by(inner, items, lambda item: str(item.asked["tags"]["sub_category"]), upstream.mis_figures)


@pytest.mark.parametrize("split", ["easy", "hard", "real"])
def test_the_metrics_of_mis_add_up_to_a_hundred(done: Done, split: str) -> None:
    metrics = done.split("mis", split)["metrics"]
    assert sum(metrics[name]["value"] for name in ("ASR", "RSR", "RR", "HR", "BLK")) == pytest.approx(100)


def test_mis_test_is_pooled_from_easy_and_hard(done: Done) -> None:
    found, items = done.split("mis", "test"), [*done.items("mis", "easy"), *done.items("mis", "hard")]
    assert found["n"] == found["n_expected"] == 2185
    assert found["outcomes"] == upstream.outcomes(items)
    assert found["verdicts"] == upstream.verdicts(items)
    same(found["metrics"], upstream.mis_figures(items))
    same_by(found["by"]["category"], items, lambda item: str(item.asked["category"]), upstream.mis_figures)


def test_mis_real_is_paired_with_its_synthetic_twins(done: Done) -> None:
    found = done.results["tasks"]["mis"]["paired"]
    expected = upstream.mis_pairs(done.items("mis", "real"), [*done.items("mis", "easy"), *done.items("mis", "hard")])
    assert expected["unmatched"] > 0
    assert expected["unresolved"] > 0
    assert (found["pairs"], found["unmatched"]) == (expected.pop("pairs"), expected.pop("unmatched"))
    same({"ASR": found["ASR"]}, {"ASR": expected})


@pytest.mark.parametrize("split", ["chat", "embodied"])
def test_mssbench_has_the_counts_and_values_of_upstreams_formulas(done: Done, split: str) -> None:
    found, items = done.split("mssbench", split), done.items("mssbench", split)
    assert found["n"] == found["n_expected"] == found["records"] == len(items) == SIZES[split]
    assert found["outcomes"] == upstream.outcomes(items)
    assert found["verdicts"] == upstream.verdicts(items)
    classes = [number for item in items if (number := upstream.mss_class(item)) is not None]
    assert found["labels"] == Counter(upstream.MSS_CLASSES[number] for number in classes)
    figures = _accuracies(upstream.mss_right)
    same(found["metrics"], figures(items))
    same_by(found["by"]["category"], items, lambda item: str(item.asked["category"]), figures)


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("split", ["chat", "embodied"])
def test_mssbench_yes_no_settings_are_scored_by_their_rule(done: Done, setting: str, split: str) -> None:
    task = f"mssbench+setting={setting}"
    found, items = done.split(task, split), done.items(task, split)
    assert found["n"] == len(items) == SETTINGS[setting][split == "embodied"]
    assert found["outcomes"] == upstream.outcomes(items)
    assert found["verdicts"] == {**dict.fromkeys(upstream.STATES, 0), "scored": found["outcomes"]["answered"]}
    assert found["judge"].startswith("mssbench-yesno-")
    figures = _accuracies(upstream.yes_no_right)
    same(found["metrics"], figures(items))
    same_by(found["by"]["category"], items, lambda item: str(item.asked["category"]), figures)


def _accuracies(right: Callable[[Item], bool | None]) -> Callable[[Sequence[Item]], dict[str, Figure]]:
    return lambda items: upstream.mss_figures(items, right)


def test_every_fault_was_played_so_that_the_sums_mean_something(done: Done) -> None:
    outcomes, verdicts = Counter[str](), Counter[str]()
    for task in ("mis", "mssbench"):
        for split in done.results["tasks"][task]["splits"].values():
            outcomes.update(split["outcomes"])
            verdicts.update(split["verdicts"])
            assert sum(split["outcomes"].values()) == split["records"]
            assert sum(split["verdicts"].values()) == split["outcomes"]["answered"]
    assert {name for name, count in outcomes.items() if count} == set(upstream.OUTCOMES) - {"bad_sample"}
    assert {name for name, count in verdicts.items() if count} == set(upstream.STATES) - {"unjudged"}


def test_each_mis_question_goes_out_once_after_its_two_images_in_order(done: Done) -> None:
    expected = Counter[tuple[str, ...]]()
    for split in ("easy", "hard", "real"):
        for row in json.loads((done.layout.root / "mis" / f"mis_{split}.json").read_text(encoding="utf-8")):
            expected[*done.digests(row["image_path1"], row["image_path2"]), row["question"]] += 1
    calls = [call for call in done.asked("subject") if len(call.images) == 2]
    assert {tuple(part.kind for part in call.parts) for call in calls} == {("image", "image", "text")}
    assert Counter(tuple(part.value for part in call.parts) for call in calls) == expected
    assert set(expected.values()) == {1}


def test_each_mssbench_text_goes_out_once_before_its_image(done: Done) -> None:
    expected = Counter[tuple[str, ...]]()
    records = json.loads((done.layout.root / "mssbench" / "combined.json").read_text(encoding="utf-8"))
    for row in records["chat"]:
        for query in row["queries"]:
            for side in ("safe", "unsafe"):
                expected[query, *done.digests(f"chat/{row[f'{side}_image_path']}")] += 1
    for row, safe, unsafe in layouts.embodied_pairs(records["embodied"]):
        expected[safe, *done.digests(f"embodied/{row['safe']}")] += 1
        expected[unsafe, *done.digests(f"embodied/{row['unsafe']}")] += 1
    calls = [call for call in done.asked("subject") if len(call.images) == 1]
    assert {tuple(part.kind for part in call.parts) for call in calls} == {("text", "image")}
    found = Counter[tuple[str, ...]]((_said(call.text), *call.images) for call in calls)
    assert found == expected
    assert set(expected.values()) == {1}


def _said(text: str) -> str:
    """What a record says, without the preamble before it."""
    return re.split(r"They say: |The job: ", text)[-1]


def test_the_judge_of_mis_sees_both_images_in_order_and_that_of_mssbench_none(done: Done) -> None:
    about = {plays.case(*call.images, call.text): call for call in done.asked("subject")}
    shown = Counter[int]()
    for call in done.asked("judge"):
        judged = about[plays.case_of(call)]
        assert call.images == (judged.images if len(judged.images) == 2 else ())
        assert (judged.text in call.text) is (len(judged.images) == 2)
        assert "thought-" not in call.text or len(judged.images) == 2
        shown[len(call.images)] += 1
    assert set(shown) == {0, 2}


def test_nothing_is_asked_twice_but_a_judge_whose_reply_could_not_be_read(done: Done) -> None:
    assert set(Counter(call.digest for call in done.asked("subject")).values()) == {1}
    first = Counter(plays.case_of(call) for call in done.asked("judge") if not plays.is_repair(call))
    repaired = Counter(plays.case_of(call) for call in done.asked("judge") if plays.is_repair(call))
    assert set(first.values()) == set(repaired.values()) == {1}
    answered = sum(item.outcome == "answered" for task, split in ASKED for item in done.items(task, split))
    assert len(first) == answered


def test_the_same_command_again_asks_only_for_what_failed_and_no_breaker_stops_it(done: Done) -> None:
    items = [item for task, split in ASKED for item in done.items(task, split)]
    errors = sum(item.outcome == "error" for item in items)
    unjudged = sum(item.outcome == "answered" and item.state == "judge_error" for item in items)
    assert min(errors, unjudged) > Policy().breaker
    assert done.ended_again.code == 0, done.ended_again.err
    calls = Counter(call.model for call in done.again if not plays.is_probe(call))
    assert calls == {"subject": errors, "judge": unjudged}


def test_the_lines_name_the_images_that_were_sent(done: Done) -> None:
    for task, split in ASKED:
        for item in done.items(task, split):
            images = [part for part in item.response["prompt"] if "image" in part]
            assert all(not PurePosixPath(part["image"]).is_absolute() for part in images)
            assert [part["sha256"] for part in images] == list(done.digests(*(part["image"] for part in images)))
