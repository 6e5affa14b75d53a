"""`harness judge`: a run read back, and judged again or for the first time; what the names of judges mean."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from harness import plugins
from harness.contracts import Judge, Rubric, Split, Task
from harness.errors import HarnessError, UnknownName
from harness.evaluation.options import JudgeOptions, Options
from harness.metrics import rate
from harness.models import ModelSpec
from harness.plugins import Host
from harness.plugins.loader import from_file
from harness.runs.dry_run import dry_run
from harness.runs.run import Run, judge_async, run_async
from harness.runs.selection import select_judge_ids
from harness.testing.fakes import (
    PIXEL,
    FakeFiles,
    FakePlugin,
    fake_judge,
    fake_provider,
    fake_sample,
    host_of,
    source_of,
)
from harness.types import Image, Message, Request, Sample, Setting, Settings, Text, Verdict

ASK = Request(messages=(Message(role="user", content=(Text(text="tone?"),)),))
SAFE = Verdict(label="safe")
TONE_SETTINGS = (Setting(name="prompts", type=str, default="own", identity=True),)


def _tone(settings: Settings, _root: Path) -> Rubric:
    """A rubric that asks a model; its verdict is the reply's text."""
    return Rubric(
        identity={"prompts": settings["prompts"]},
        labels=("safe", "unsafe"),
        ask=lambda _s, _r: [ASK],
        read=lambda _s, _r, replies: Verdict(label=replies[-1].text),
    )


TONE = Judge(name="tone", version="1", description="", open=_tone, settings=TONE_SETTINGS, needs=frozenset())


def splits(*names: str, judges: Mapping[str, Mapping[str, str]]) -> Mapping[str, Split]:
    metrics = (rate("ASR", "unsafe", better="lower"),)
    return {
        name: Split(judges=judges, metrics=metrics, by=(), blocked_as=SAFE, empty_as=SAFE, labels=("safe", "unsafe"))
        for name in names
    }


def _read(root: Path, split: str, _settings: Settings) -> Iterator[Sample]:
    """Lines of DIR/<task>/<split>.txt are questions."""
    for n, text in enumerate((root / f"{split}.txt").read_text().splitlines()):
        yield fake_sample(f"{split}-{n}", text=text, split=split)


TALK = Task(
    name="talk",
    version="1",
    description="",
    splits=splits("easy", "hard", judges={"tone": {}, "words": {}}),
    samples=_read,
    settings=(Setting(name="prompts", type=str, default="own", identity=True),),
)
CHAT = Task(name="chat", version="1", description="", splits=splits("all", judges={"words": {}}), samples=_read)
HOST = host_of(
    fake_provider("a yes", scheme="fake"),
    fake_provider("safe", scheme="mild"),
    fake_provider("unsafe", scheme="strict"),
    TALK,
    CHAT,
    TONE,
    fake_judge(name="words"),
)


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    """Data of both tasks; the plugins above are the only ones."""
    for place in ("talk/easy", "talk/hard", "chat/all"):
        path = tmp_path / "data" / f"{place}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"question {n}\n" for n in range(6)))
    with plugins.use(HOST):
        yield tmp_path / "data"


def run(data: Path, *tasks: str, **fields: Any) -> Run:
    defaults: dict[str, Any] = {"data": data, "output": data.parent / "run", "probe": False}
    options = Options(model=ModelSpec(ref="fake/x"), tasks=tasks, **defaults | fields)
    return anyio.run(partial(run_async, options))


def judge(folder: Path, *judges: str, tasks: tuple[str, ...] = (), primary: bool = False, **fields: Any) -> Run:
    judging = JudgeOptions(judges=judges, tasks=tasks, primary=primary, **{"probe": False, **fields})
    return anyio.run(partial(judge_async, folder, judging))


def split(run: Run, task: str = "talk", name: str = "easy") -> dict[str, Any]:
    return dict(run.results["tasks"][task]["splits"][name])


def test_a_run_without_a_judge_keeps_its_answers_and_names_the_command_that_finishes_it(data: Path) -> None:
    first = run(data, "talk", task_settings={"talk.data": str(data / "talk"), "tone.prompts": "mine"})
    assert first.exit_code == 3
    assert split(first)["verdicts"]["unjudged"] == 6
    (note,) = (note for note in first.notes if "waits for a judge" in note or "wait for a judge" in note)
    assert f"harness judge {first.folder} --judge SCHEME/NAME -T tone.prompts=mine" in note
    done = judge(first.folder, "strict/J")
    assert (done.exit_code, split(done)["labels"]) == (0, {"unsafe": 6})
    assert run(data, "talk", task_settings={"talk.data": str(data / "talk")}).exit_code == 0, "it has been judged"


IN_A_FILE = """
from harness import Judge, Rubric, Verdict, hookimpl
from harness.testing.fakes import fake_task

RUBRIC = Rubric(
    identity={}, labels=("safe",), ask=lambda sample, _: [sample.request], read=lambda *_: Verdict(label="safe")
)

@hookimpl
def harness_tasks():
    return [fake_task(name="own", judges={"asks": {}})]

@hookimpl
def harness_judges():
    return [Judge(name="asks", version="1", description="", open=lambda *_: RUBRIC, needs=frozenset())]
"""


def test_the_command_that_finishes_a_run_names_the_plugin_files_of_it(tmp_path: Path) -> None:
    file = tmp_path / "my tasks.py"
    file.write_text(IN_A_FILE, "utf-8")
    with plugins.use(Host([from_file(file), source_of(FakePlugin(fake_provider("no")))])):
        first = run(tmp_path / "data", "own")
        (note,) = (note for note in first.notes if "wait for a judge" in note)
        asked = Options(model=ModelSpec(ref="fake/x"), tasks=("own",), output=tmp_path / "run", probe=False)
        (load,) = dry_run(asked).loads
    command = f"harness judge {first.folder} --judge SCHEME/NAME --plugin '{file}'"
    assert note.endswith(f"finish with: {command}")
    assert load.incomplete == note


def test_judges_stand_side_by_side_and_the_first_stays_primary(data: Path) -> None:
    first = run(data, "talk", judges=("mild/J",))
    second = judge(first.folder, "strict/J")
    assert split(second)["judge"] == split(first)["judge"]
    (other,) = split(second)["other_judges"].values()
    assert (split(second)["metrics"]["ASR"]["value"], other["metrics"]["ASR"]["value"]) == (0.0, 100.0)
    third = judge(first.folder, "strict/J", primary=True)
    assert split(third)["metrics"]["ASR"]["value"] == 100.0


def test_a_rubric_judges_the_splits_that_accept_it_and_leaves_the_others_alone(data: Path) -> None:
    first = run(data, "talk", "chat", judges=("mild/J",))
    before = split(first, "chat", "all")
    second = judge(first.folder, "tone=strict/J")
    assert second.exit_code == 0
    assert len(split(second)["other_judges"]) == 1
    assert split(second, "chat", "all") == before


def test_only_the_tasks_that_are_named_are_judged(data: Path) -> None:
    folder = run(data, "talk", judges=("mild/J",)).folder
    done = judge(folder, "strict/J", tasks=("talk:hard",))
    assert [len(split(done, name=name)["other_judges"]) for name in ("easy", "hard")] == [0, 1]


def test_a_task_goes_by_its_own_name_and_by_its_displayed_one(data: Path) -> None:
    folder = run(data, "talk:easy", task_settings={"talk.prompts": "odd"}).folder
    for name in ("talk", "talk:easy", "talk+prompts=odd", "talk+prompts=odd:easy"):
        assert judge(folder, "mild/J", tasks=(name,)).exit_code == 0


def test_the_tasks_settings_are_the_runs_and_a_rubrics_may_be_new(data: Path) -> None:
    given = {"talk.prompts": "odd"}
    folder = run(data, "talk:easy", judges=("mild/J",), task_settings=given).folder
    again = judge(folder, "mild/J", task_settings={"tone.prompts": "new", "talk.prompts": "own"})
    (other,) = split(again, "talk+prompts=odd")["other_judges"]
    assert again.results["judges"][other]["settings"] == {"prompts": "new"}


def test_where_the_data_lay_is_remembered_however_often_it_is_judged(data: Path) -> None:
    folder = run(data, "talk", judges=("mild/J",)).folder
    for judged in ("strict/A", "strict/B"):
        assert judge(folder, judged).exit_code == 0
    task = json.loads((folder / "run.json").read_text())["tasks"]["talk"]
    assert task["data"]["root"] == str(data / "talk")


def test_data_that_was_moved_is_found_where_it_is_said_to_be(data: Path) -> None:
    folder = run(data, "talk", judges=("mild/J",)).folder
    moved = data.rename(data.with_name("moved"))
    assert judge(folder, "strict/J", data=moved).exit_code == 0
    named = moved.rename(moved.with_name("again"))
    assert judge(folder, "strict/K", task_settings={"talk.data": str(named / "talk")}).exit_code == 0


def test_an_answer_is_judged_only_where_the_data_still_asks_the_same(data: Path) -> None:
    folder = run(data, "talk:easy").folder
    text = (data / "talk" / "easy.txt").read_text()
    (data / "talk" / "easy.txt").write_text(text.replace("question 2", "another question"))
    done = judge(folder, "strict/J")
    assert (split(done)["verdicts"]["scored"], split(done)["verdicts"]["unjudged"]) == (5, 1)
    assert done.exit_code == 3


class Counting(FakeFiles):
    """A data root that notes which images were opened."""

    opened: set[str] = set()  # noqa: RUF012

    def read(self, path: str) -> bytes:
        self.opened.add(path)
        return super().read(path)


def test_only_what_was_asked_is_opened(data: Path) -> None:
    def read(root: Path, name: str, settings: Settings) -> Iterator[Sample]:
        for sample in _read(root, name, settings):
            image = Image(path=f"{sample.id}.png", files=Counting({f"{sample.id}.png": PIXEL}))
            parts = (image, *sample.request.messages[0].content)
            yield replace(sample, request=Request(messages=(Message(role="user", content=parts),)))

    task, strict = replace(TALK, samples=read), fake_provider("unsafe", scheme="strict")
    with plugins.use(host_of(fake_provider("a yes"), strict, task, TONE, fake_judge(name="words"))):
        folder = run(data, "talk:easy", limit=2).folder
        Counting.opened.clear()
        assert split(judge(folder, "strict/J"))["verdicts"]["scored"] == 2
    assert len(Counting.opened) == 2


@pytest.mark.parametrize(
    ("judges", "fields", "error", "what"),
    [
        ((), {}, HarnessError, "no judge for these answers"),
        (("tone",), {}, HarnessError, "rubric 'tone' needs a model"),
        (("strct/J",), {}, UnknownName, "'strct'"),
        (("tune=strict/J",), {}, UnknownName, "'tune'"),
        (("strict/J",), {"tasks": ("talk:eazy",)}, UnknownName, "the run has no task 'talk:eazy'"),
        (("strict/J",), {"task_settings": {"tone.promts": "x"}}, UnknownName, "no setting 'promts'"),
        (("strict/J",), {"retry": frozenset({"scord"})}, UnknownName, "--retry scord"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_judged(
    data: Path, judges: tuple[str, ...], fields: dict[str, Any], error: type[HarnessError], what: str
) -> None:
    folder = run(data, "talk").folder
    with pytest.raises(error, match=what):
        judge(folder, *judges, **fields)
    assert list(folder.glob("talk/verdicts-*")) == []


def test_a_folder_without_a_run_and_a_task_that_is_gone_are_said(data: Path, tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="there is no run here"):
        judge(tmp_path, "strict/J")
    folder = run(data, "talk").folder
    with plugins.use(host_of(CHAT, TONE)), pytest.raises(UnknownName, match="'talk'"):
        judge(folder, "strict/J")


def test_a_second_judge_that_fails_is_incomplete_even_where_the_first_is_not(data: Path) -> None:
    folder = run(data, "talk", judges=("mild/J",)).folder
    with plugins.use(host_of(fake_provider("neither", scheme="odd"), TALK, CHAT, TONE, fake_judge(name="words"))):
        done = judge(folder, "odd/J")
    assert done.exit_code == 3
    (other,) = split(done)["other_judges"].values()
    assert other["verdicts"]["judge_error"] == 6


def test_a_copied_folder_is_judged_as_well(data: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(run(data, "talk").folder, tmp_path / "copy")
    assert judge(copy, "strict/J").exit_code == 0


IDS = {
    "mssbench-openai-a-00000001": "mssbench",
    "mssbench-yesno-00000002": "mssbench-yesno",
    "mssbench-openai-b-00000003": "mssbench",
    "human-anna": "human",
    "human-bo": "human",
}
CARDS = {judge: {"rubric": rubric} for judge, rubric in IDS.items()}


@pytest.mark.parametrize(
    ("names", "judges"),
    [
        ("mssbench", "mssbench-openai-a-00000001 mssbench-openai-b-00000003"),
        ("mssbench-yesno", "mssbench-yesno-00000002"),
        ("mssbench-openai-b", "mssbench-openai-b-00000003"),
        ("mssbench-openai", "mssbench-openai-a-00000001 mssbench-openai-b-00000003"),
        ("human", "human-anna human-bo"),
        ("human-bo mssbench-yesno-00000002", "mssbench-yesno-00000002 human-bo"),
    ],
)
def test_a_name_means_an_id_or_exactly_one_rubric_or_the_beginning_of_ids_beyond_it(names: str, judges: str) -> None:
    assert select_judge_ids("--judges", names.split(), CARDS) == tuple(judges.split())


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("mssbenhc", "mssbench"), ("mssbenc", "mssbench"), ("human-an", "human-anna"), ("hum", "human")],
)
def test_a_name_that_means_none_is_told_the_nearest_one(name: str, nearest: str) -> None:
    with pytest.raises(UnknownName, match=f"--members {name}: no judge of this run") as caught:
        select_judge_ids("--members", [name], CARDS)
    assert f"'{nearest}" in caught.value.remedy


def test_a_rubric_that_a_longer_one_begins_with_is_not_known_by_it() -> None:
    longer = {judge: card for judge, card in CARDS.items() if card["rubric"] == "mssbench-yesno"}
    with pytest.raises(UnknownName):
        select_judge_ids("--judges", ["mssbench"], longer)
