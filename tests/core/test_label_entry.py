"""A person's words on drawn answers become verdicts: newest first, for the text they were given on, and only once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from harness import plugins
from harness.errors import HarnessError
from harness.plugins.host import Host
from harness.runs.label_entry import SKIPPED, EnteredWords, Said, count_progress, enter_words, find_person
from harness.runs.labelling import DrawnSplit, draw_run
from harness.runs.stored import StoredRun, open_run
from harness.types import Verdict
from tests.plugins.agree_asking import SOURCE, judged

ANNA = "human-anna"
LABELS = {"twice:one": ("unsafe", "safe")}


@pytest.fixture
def run(tmp_path: Path) -> Iterator[StoredRun]:
    folder = judged(tmp_path / "run", tasks="twice:one")
    with plugins.use(Host.load([SOURCE])):
        yield open_run(folder, ())


def drawn(run: StoredRun) -> DrawnSplit:
    (found,) = draw_run(run, n=6)
    return found


def at(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def enter(run: StoredRun, *said: Said) -> EnteredWords:
    return enter_words(open_run(run.folder.path, ()), ANNA, said, LABELS, command=("harness", "label"))


def view(run: StoredRun) -> dict[str, Any]:
    split = json.loads((run.folder.path / "results.json").read_text())["tasks"]["twice"]["splits"]["one"]
    found: dict[str, Any] = split["other_judges"][ANNA]
    return found


def lines(run: StoredRun) -> list[dict[str, Any]]:
    file = run.folder.path / "twice" / f"verdicts-{ANNA}.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_labels_and_skips_are_verdicts_of_the_person_and_the_results_are_computed_again(run: StoredRun) -> None:
    one, two, *_ = drawn(run).items
    found = enter(run, Said(item=one, decision=Verdict(label="unsafe")), Said(item=two, decision=SKIPPED))
    assert (found.labels, found.entered and found.entered.new) == (1, 2)
    assert view(run)["verdicts"]["scored"] == 1
    assert view(run)["verdicts"]["judge_refused"] == 1
    (progress,) = count_progress(run, [drawn(run)], ANNA)
    assert (progress.drawn, progress.labelled, progress.skipped, progress.open) == (6, 1, 1, 4)


def test_the_same_words_again_change_nothing(run: StoredRun) -> None:
    said = Said(item=drawn(run).items[0], decision=Verdict(label="unsafe"), at=at(0))
    enter(run, said)
    before = (run.folder.path / "run.json").read_bytes()
    assert enter(run, said).entered is None
    assert (run.folder.path / "run.json").read_bytes() == before


def test_the_newest_word_counts_wherever_it_came_from(run: StoredRun) -> None:
    item = drawn(run).items[0]
    enter(run, Said(item=item, decision=Verdict(label="unsafe")))
    assert enter(run, Said(item=item, decision=Verdict(label="safe"), at=at(-60))).entered is None
    assert enter(run, Said(item=item, decision=Verdict(label="safe"), at=at(60))).entered is not None
    assert [line["label"] for line in lines(run)] == ["unsafe", "safe"]


def test_a_label_that_was_withdrawn_no_longer_counts_and_one_that_never_counted_leaves_no_trace(run: StoredRun) -> None:
    one, two, *_ = drawn(run).items
    enter(run, Said(item=one, decision=Verdict(label="unsafe")))
    gone = [Said(item=item, decision=SKIPPED, withdrawn=True, at=at(60)) for item in (one, two)]
    enter(run, *gone)
    assert [(line["state"], line["reason"]) for line in lines(run)] == [("scored", ""), ("judge_refused", "skipped")]


def test_labels_of_another_answer_of_no_item_and_of_no_known_word_are_named_and_not_counted(run: StoredRun) -> None:
    one, two, three, *_ = drawn(run).items
    found = enter(
        run,
        Said(item=one, decision=Verdict(label="unsafe"), answer_hash="0" * 64),
        Said(item="mis/easy/1#0", decision=Verdict(label="unsafe")),
        Said(item=two, decision=Verdict(label="maybe")),
        Said(item=three, decision=Verdict(label="safe")),
    )
    assert (found.outdated, found.foreign, found.unknown) == ((one,), ("mis/easy/1#0",), ((two, "maybe"),))
    assert [line["label"] for line in lines(run)] == ["safe"]


def test_a_process_that_was_killed_between_verdicts_and_results_is_made_good(run: StoredRun) -> None:
    said = Said(item=drawn(run).items[0], decision=Verdict(label="unsafe"), at=at(0))
    results = (run.folder.path / "results.json").read_bytes()
    enter(run, said)
    whole = (run.folder.path / "results.json").read_bytes()
    (run.folder.path / "results.json").write_bytes(results)
    assert enter(run, said).entered is not None
    assert json.loads((run.folder.path / "results.json").read_bytes())["tasks"] == json.loads(whole)["tasks"]


def test_a_person_is_found_in_any_case_and_a_name_that_is_not_allowed_is_refused(run: StoredRun) -> None:
    enter(run, Said(item=drawn(run).items[0], decision=Verdict(label="unsafe")))
    file = run.folder.load_run()
    assert find_person("Anna", file) == ANNA
    with pytest.raises(HarnessError, match="'a b' cannot name a person"):
        find_person("a b", file)
