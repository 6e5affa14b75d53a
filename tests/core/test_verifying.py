"""Numbers are made anew of a run's lines and compared with the file, each of them."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import plugins
from harness.runs.verification import (
    NOTHING,
    VerifiedPart,
    VerifiedRun,
    check_pairs,
    check_sums,
    find_differences,
    verify_run,
)
from harness.testing.fakes import host_of
from harness.testing.results import judged, split
from tests.reports.secret_run import change, change_lines, host, run

STOPPED = "a later invocation stopped early; run it again to its end"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tmp_path_factory.mktemp("runs") / "any")


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    """A copy that may be spoilt."""
    return Path(shutil.copytree(whole, tmp_path / "any"))


@pytest.fixture(autouse=True)
def _world() -> Iterator[None]:
    with plugins.use(host()):
        yield


def part(found: VerifiedRun, title: str) -> VerifiedPart:
    (one,) = [each for each in found.parts if each.title == title]
    return one


def verdicts(folder: Path, rubric: str) -> Path:
    (path,) = (folder / "told").glob(f"verdicts-{rubric}-*.jsonl")
    return path


def test_a_run_of_each_outcome_several_judges_and_epochs_is_the_same(folder: Path) -> None:
    found = verify_run(folder)
    assert (found.state, found.why, found.faults, found.notes) == ("same", "", (), ())
    records = {each.title: each.records for each in found.parts}
    assert records == {"told:one": 22, "told:two": 22, "told:both": 44, "told": None, "run": None}


def test_nothing_is_written_into_the_run(folder: Path) -> None:
    def state() -> dict[str, str]:
        return {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.rglob("*") if p.is_file()}

    before = state()
    verify_run(folder)
    assert state() == before


def numbers(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if isinstance(value, dict):
        for key, each in value.items():
            yield from numbers(each, (*path, key))
    elif isinstance(value, list):
        for place, each in enumerate(value):
            yield from numbers(each, (*path, str(place)))
    elif isinstance(value, int | float):
        yield path


def raised(body: Any, path: tuple[str, ...]) -> None:
    for key in path[:-1]:
        body = body[int(key) if isinstance(body, list) else key]
    key: Any = int(path[-1]) if isinstance(body, list) else path[-1]
    body[key] = not body[key] if isinstance(body[key], bool) else body[key] + 1


def test_no_number_can_be_changed_unseen(folder: Path) -> None:
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    every = [path for path in numbers(results) if path[0] not in ("wall_s", "environment")]
    assert len(every) > 1000
    for path in [*every[::197], *(path for path in every if path[0] == "usage"), *every[-3:]]:
        change(folder / "results.json", lambda body, path=path: raised(body, path))
        assert verify_run(folder).state == "differs", path
        (folder / "results.json").write_text(json.dumps(results), encoding="utf-8")


@pytest.mark.parametrize("name", ["n", "records", "n_expected"])
def test_a_number_too_large_for_arithmetic_is_a_difference(folder: Path, name: str) -> None:
    change(folder / "results.json", lambda body: body["tasks"]["told"]["splits"]["one"].update({name: 10**400}))
    assert verify_run(folder).state == "differs"


def test_what_differs_is_told_by_its_path_with_both_values(folder: Path) -> None:
    def spoilt(body: Any) -> None:
        body["tasks"]["told"]["splits"]["one"]["metrics"]["hits"]["ci95"][1] = 1.0

    change(folder / "results.json", spoilt)
    found = verify_run(folder)
    (difference,) = part(found, "told:one").differences
    assert difference.path == ("metrics", "hits", "ci95", "1")
    assert difference.stored == 1.0
    assert difference.found == pytest.approx(69.0, abs=0.1)
    assert (part(found, "told:two").state, part(found, "told:both").state) == ("same", "same")


def test_a_changed_verdict_shows_in_each_split_that_counts_it(folder: Path) -> None:
    change_lines(
        verdicts(folder, "asking"), lambda line: line.update(label="harmless") if line["split"] == "one" else 0
    )
    found = verify_run(folder)
    assert [each.title for each in found.parts if each.differences] == ["told:one", "told:both", "told"]
    assert found.state == "differs"


def test_a_verdict_on_another_text_is_no_verdict(folder: Path) -> None:
    change_lines(folder / "told" / "responses.jsonl", lambda line: line.update(text=f"{line['text']}!"))
    counted = {each.path: (each.stored, each.found) for each in part(verify_run(folder), "told:one").differences}
    assert counted["verdicts", "scored"] == (8, 0)


def test_a_split_or_a_task_on_one_side_alone_is_a_difference(folder: Path) -> None:
    change(folder / "results.json", lambda body: body["tasks"]["told"]["splits"].pop("two"))
    (difference,) = part(verify_run(folder), "told:two").differences
    assert (difference.path, difference.stored) == ((), NOTHING)
    change(folder / "results.json", lambda body: body["tasks"].update(more=body["tasks"]["told"]))
    assert part(verify_run(folder), "more:one").state == "differs"


def test_what_only_the_invocation_could_know_is_not_compared(folder: Path) -> None:
    new = {
        "started": "x",
        "finished": "x",
        "command": [],
        "environment": {"platform": "y"},
        "wall_s": 1,
        "harness": "0",
    }
    change(folder / "results.json", lambda body: body.update(new))
    found = verify_run(folder)
    assert found.state == "same"
    assert found.notes[0].startswith("the results are from harness 0 and were checked by ")


def test_a_task_whose_plugin_is_gone_or_another_version_is_named_and_the_rest_is_compared(folder: Path) -> None:
    with plugins.use(host_of()):
        gone = verify_run(folder)
    change(folder / "run.json", lambda body: body["tasks"]["told"].update(version="0"))
    older = verify_run(folder)
    assert {found.state for found in (gone, older)} == {"unverifiable"}
    assert part(gone, "told:one").why == "no task is called 'told'"
    assert part(older, "told:one").why == "it was run in version 0, and version 1 is installed"
    assert part(gone, "run").state == "same"


def test_results_without_their_lines_are_not_verifiable_but_must_add_up(folder: Path) -> None:
    shutil.rmtree(folder / "told")
    found = verify_run(folder / "results.json")
    assert (found.state, found.why) == (
        "unverifiable",
        "not verifiable: these results come without the lines they count",
    )
    change(folder / "results.json", lambda body: body["tasks"]["told"]["splits"]["one"]["labels"].update(unsafe=99))
    assert verify_run(folder / "results.json").state == "differs"


def test_a_copy_of_results_beside_a_run_is_not_taken_for_its_results(folder: Path) -> None:
    copied = Path(shutil.copy(folder / "results.json", folder / "old.json"))
    assert verify_run(copied).state == "unverifiable"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "has written no results yet"),
        ("{", "not JSON"),
        ("9" * 5000, "not JSON"),
        ('{"schema": "harness.results/0", "tasks": {}}', "harness.results/0"),
        ('{"schema": "harness.results/1", "tasks": []}', "not results"),
    ],
)
def test_no_results_half_of_them_or_those_of_another_schema_are_not_verifiable(
    text: str | None, told: str, folder: Path
) -> None:
    path = folder / "results.json"
    path.unlink() if text is None else path.write_text(text, encoding="utf-8")
    found = verify_run(folder)
    assert found.state == "unverifiable"
    assert told in found.why


def test_half_a_line_at_the_end_is_told_and_not_counted(folder: Path) -> None:
    with (folder / "told" / "responses.jsonl").open("ab") as file:
        file.write(b'{"id":"plain","split":"o')
    found = verify_run(folder)
    assert (found.state, found.why) == ("unverifiable", "told/responses.jsonl ends in half a line (24 bytes)")
    assert {each.state for each in found.parts} == {"same"}


@pytest.mark.parametrize("line", ["{", "[]", '{"id": "plain"}', "\0"])
def test_a_broken_line_in_the_middle_is_a_fault_with_its_number(line: str, folder: Path) -> None:
    path = verdicts(folder, "ruling")
    first, rest = path.read_text(encoding="utf-8").split("\n", 1)
    path.write_text(f"{first}\n{line}\n{rest}", encoding="utf-8")
    found = verify_run(folder)
    assert (found.state, found.faults) == ("differs", (f"told/{path.name}: line 2 is broken",))


def test_a_line_that_lacks_what_is_counted_is_not_verifiable(folder: Path) -> None:
    change_lines(folder / "told" / "responses.jsonl", lambda line: line.pop("usage"))
    found = verify_run(folder)
    assert (found.state, found.why) == ("unverifiable", "one of its lines cannot be read: KeyError: 'usage'")


def test_what_was_written_after_the_results_makes_them_outdated_and_not_false(folder: Path) -> None:
    def again(line: Any) -> None:
        line.update(label="harmless", at="2999-01-01T00:00:00.000+00:00")

    change_lines(verdicts(folder, "asking"), again)
    found = verify_run(folder)
    assert found.state == "unverifiable"
    assert part(found, "told:one").differences
    assert "lines were written after these results" in part(found, "told:one").why


def test_an_invocation_that_stopped_explains_a_difference_and_alone_is_none(folder: Path) -> None:
    def stopped(body: Any) -> None:
        body["history"].append({**body["history"][-1], "end": "stopped", "reason": "interrupted"})

    change(folder / "run.json", stopped)
    assert (verify_run(folder).state, verify_run(folder).notes) == ("same", (STOPPED,))
    change_lines(verdicts(folder, "asking"), lambda line: line.update(label="harmless"))
    assert "stopped" in part(verify_run(folder), "told:one").why
    assert verify_run(folder).state == "unverifiable"


@pytest.mark.parametrize(
    ("changes", "why"),
    [({"schema": "harness.run/0"}, "harness.run/0"), ({"history": []}, "no command of it has ended")],
)
def test_a_run_of_another_schema_or_without_an_invocation_that_ended_is_not_verifiable(
    folder: Path, changes: dict[str, Any], why: str
) -> None:
    change(folder / "run.json", lambda body: body.update(changes))
    assert why in verify_run(folder).why


def body(**changes: Any) -> dict[str, Any]:
    finding = judged({"unsafe": 60, "safe": 40}, main="unsafe", judge_error=5)
    made = split(finding, judge="j-00000000", other_judges={"k-00000000": judged({"unsafe": 105}, main="unsafe")})
    return {**made, **changes}


@pytest.mark.parametrize("changes", [{"settings": 1}, {"data": {"folder": None}}])
def test_a_task_that_cannot_be_planned_again_is_not_verifiable(folder: Path, changes: dict[str, Any]) -> None:
    def spoil(body: Any) -> None:
        task = body["tasks"]["told"]
        task |= {**changes, "data": {**task["data"], **changes.get("data", {})}}

    change(folder / "run.json", spoil)
    found = verify_run(folder)
    assert found.state == "unverifiable"


def test_a_run_that_ended_at_no_time_is_verified_as_far_as_it_goes(folder: Path) -> None:
    change(folder / "run.json", lambda body: body["history"][-1].update(finished=True))
    assert verify_run(folder).state == "same"


def test_sums_that_add_up_are_no_fault() -> None:
    assert list(check_sums(body())) == []


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"records": 104}, "outcomes sum to 105, not to the 104 records"),
        ({"n": 200}, "200 samples in 105 records"),
        ({"verdicts": {"scored": 100}}, "verdicts sum to 100, not to the 105 answers"),
        ({"labels": {"unsafe": 60, "safe": 41}}, "101 labels, but 100 records are scored, blocked or empty"),
        ({"coverage": 0.5}, "coverage is 0.5, but 100 of 105 records are labelled"),
    ],
)
def test_each_sum_that_does_not_add_up_is_a_fault(changes: dict[str, Any], told: str) -> None:
    assert any(told in fault for fault in check_sums(body(**changes)))


def test_a_metric_must_be_what_stands_beside_it_and_within_its_bounds() -> None:
    made = body()
    made["metrics"]["unsafe"]["value"] = 99.0
    first, second, *grouped = check_sums(made)
    assert first == "j-00000000: unsafe is 99.0, but 60/100 is given"
    assert "outside its bounds" in second
    assert grouped == [fault.replace(": unsafe", ": category drawn: unsafe") for fault in (first, second)]


def test_a_value_that_judged_answers_give_for_others_is_not_held_to_the_counts_beside_it() -> None:
    made = body()
    made["metrics"]["unsafe"] |= {"value": 58.0, "estimator": {"name": "post-stratified"}}
    assert list(check_sums(made)) == []
    made["metrics"]["unsafe"]["value"] = 12.0
    assert "outside its bounds" in next(check_sums(made))


def test_a_difference_inside_a_task_must_lie_within_its_bounds() -> None:
    side = {"real": 50.0, "synthetic": 40.0, "difference": 10.0, "bounds": [8.0, 9.0]}
    one = {"pairs": 10, "unmatched": 0, "ASR": side}
    assert list(check_pairs(one)) == ["ASR, difference is 10.0, outside its bounds 8.0 to 9.0"]
    assert list(check_pairs({"real": one, "hard": one})) == list(check_pairs(one)) * 2
    assert list(check_pairs({"pairs": 1, "unmatched": 0, "ASR": {"difference": None, "bounds": None}})) == []


@pytest.mark.parametrize(
    ("stored", "found", "paths"),
    [
        ({"a": 1, "b": [1, 2]}, {"b": [1.0, 2], "a": 1}, []),
        ({"a": 0.1 + 0.2}, {"a": 0.3}, []),
        ({"a": None}, {"a": 0}, [("a",)]),
        ({"a": True}, {"a": 1}, [("a",)]),
        ({"a": "x"}, {}, [("a",)]),
        ({"a": [1]}, {"a": [1, 2]}, [("a", "1")]),
        ({"a": {}}, {"a": []}, [("a",)]),
        ({"a": 1.0}, {"a": 1.0000001}, [("a",)]),
    ],
)
def test_values_differ_by_kind_and_by_more_than_nine_digits(stored: Any, found: Any, paths: list[Any]) -> None:
    assert [each.path for each in find_differences(stored, found)] == paths
