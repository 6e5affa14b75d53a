"""Every model is opened in one place: what the core adds to the settings of its provider."""

import json
from collections.abc import AsyncGenerator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from harness import open_model, plugins
from harness.contracts import Judge, Model, ModelInfo, Provider, Rubric
from harness.evaluation.judges import OpenJudge, OpenJudges
from harness.evaluation.options import JudgeOptions, Options
from harness.evaluation.plan import make_plan
from harness.limits import Endpoints, Policy
from harness.models import ModelSpec, list_settings
from harness.plugins import Host
from harness.progress.lines import SilentProgress
from harness.runs.run import Run, judge_async, run_async
from harness.testing.fakes import FakeModel, fake_judge, fake_sample, fake_task, host_of
from harness.types import Failure, Request, Response, Sample, Setting, Settings, Verdict

IMAGES = Setting(name="images_per_prompt", type=int, default=None, identity=False)


class Seen:
    """Providers `vlm`, which declares `images_per_prompt`, and `plain`; the settings that each was opened with."""

    def __init__(self, notes: tuple[str, ...] = ()) -> None:
        self.settings: list[dict[str, Any]] = []
        self.notes = notes

    def provider(self, scheme: str, *declared: Setting, local: bool = False) -> Provider:
        @asynccontextmanager
        async def opened(name: str, settings: Settings) -> AsyncGenerator[Model]:
            self.settings.append(dict(settings))
            yield Noting(self.notes, ModelInfo(ref=f"{scheme}/{name}", endpoint=scheme))

        return Provider(scheme=scheme, description="", open=opened, settings=declared, local=local)

    def host(self, *more: object) -> Host:
        vlm, plain = self.provider("vlm", IMAGES, local=True), self.provider("plain")
        return host_of(vlm, plain, TASK, fake_judge(), LOOK, HIDE, READ, *more)


class Noting(FakeModel):
    """Has one more thing to say with each call."""

    def __init__(self, notes: tuple[str, ...], info: ModelInfo) -> None:
        super().__init__("safe", info)
        self._left = list(notes)

    async def generate(self, request: Request) -> Response | Failure:
        if self._left:
            self.info = replace(self.info, notes=(*self.info.notes, self._left.pop(0)))
        return await super().generate(request)


def samples() -> Iterator[Sample]:
    yield from (fake_sample(f"q{images}", images=images) for images in (1, 3, 2))


TASK = fake_task(samples, images=4, judges={"fake": {}, "look": {}, "hide": {}, "read": {}})
RUBRIC = Rubric(
    identity={}, labels=("safe",), ask=lambda sample, _: [sample.request], read=lambda *_: Verdict(label="safe")
)
LOOK = Judge(name="look", version="1", description="", open=lambda _s, _d: RUBRIC, needs=frozenset({"images"}))
# Of a judge that may show images, a rubric that shows none.
HIDE = Judge(
    name="hide",
    version="1",
    description="",
    open=lambda _s, _d: replace(RUBRIC, needs=frozenset()),
    needs=frozenset({"images"}),
)
READ = Judge(name="read", version="1", description="", open=lambda _s, _d: RUBRIC, needs=frozenset())


@pytest.fixture
def seen() -> Iterator[Seen]:
    made = Seen()
    with plugins.use(made.host()):
        yield made


def run(folder: Path, model: str, judge: str = "fake", progress: Any = None, **fields: Any) -> Run:
    spec = ModelSpec(ref=model, settings=fields.pop("settings", {}))
    options = Options(model=spec, tasks=("fake",), judges=(judge,), output=folder, probe=False, **fields)
    return anyio.run(partial(run_async, options, progress=progress))


def test_a_model_is_told_the_most_images_a_sample_holds(seen: Seen, tmp_path: Path) -> None:
    run(tmp_path, "vlm/x")
    assert seen.settings == [{"images_per_prompt": 3}]


def test_with_a_limit_only_what_is_asked_counts(seen: Seen, tmp_path: Path) -> None:
    run(tmp_path, "vlm/x", limit=1)
    [asked] = [json.loads(line) for line in (tmp_path / "fake" / "asked.jsonl").read_text().splitlines()]
    assert seen.settings == [{"images_per_prompt": int(asked["id"].removeprefix("q"))}]


def test_what_the_user_says_stands(seen: Seen, tmp_path: Path) -> None:
    run(tmp_path, "vlm/x", settings={"images_per_prompt": 9})
    assert seen.settings == [{"images_per_prompt": 9}]


def test_a_provider_that_does_not_ask_is_told_nothing(seen: Seen, tmp_path: Path) -> None:
    run(tmp_path, "plain/x")
    assert seen.settings == [{}]


@pytest.mark.parametrize(("judge", "images"), [("look=vlm/j", 4), ("hide=vlm/j", 0), ("read=vlm/j", 0)])
def test_a_judge_is_told_how_many_it_is_shown(seen: Seen, tmp_path: Path, judge: str, images: int) -> None:
    run(tmp_path, "plain/x", judge)
    assert seen.settings == [{}, {"images_per_prompt": images}]


def test_a_model_of_two_judges_is_opened_once_for_the_one_that_is_shown_more(seen: Seen, tmp_path: Path) -> None:
    run(tmp_path, "plain/x")
    judging = JudgeOptions(judges=("read=vlm/j", "look=vlm/j"), probe=False)
    anyio.run(judge_async, tmp_path, judging)
    assert seen.settings[1:] == [{"images_per_prompt": 4}]


def test_where_nobody_knows_the_number_the_provider_decides(seen: Seen) -> None:
    async def body() -> OpenJudge:
        async with open_model("vlm/x"), AsyncExitStack() as stack:
            options = Options(model=ModelSpec(ref="plain/x"), tasks=("fake",), judges=("look=vlm/j",), probe=False)
            [choice] = [c for each in make_plan(options).splits for c in each.judges]
            return await OpenJudges(options, Endpoints(options.policy), stack, {"vlm/j": None}).open(choice)

    anyio.run(body)
    assert seen.settings == [{"images_per_prompt": None}, {"images_per_prompt": None}]


def test_lineage_replicas_and_devices_are_the_cores_and_never_reach_the_provider(seen: Seen) -> None:
    vlm, plain = (plugins.current().provider(scheme) for scheme in ("vlm", "plain"))
    every = ["tuned_from", "trained_on"]  # has these from the core
    assert [setting.name for setting in list_settings(vlm)] == ["images_per_prompt", *every, "replicas", "devices"]
    assert [setting.name for setting in list_settings(plain)] == every


class Telling(SilentProgress):
    """Keeps what it is told, and when."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.answers = 0

    def note(self, text: str) -> None:
        self.lines.append(f"{self.answers}: {text}")

    def answered(self, *_: Any, **__: Any) -> None:
        self.answers += 1


def test_what_a_model_notes_is_told_at_once_and_stands_in_the_runs_notes_once(tmp_path: Path) -> None:
    seen, telling = Seen(("batch halved to 4", "batch halved to 2", "batch halved to 2")), Telling()
    with plugins.use(seen.host()):
        ended = one_by_one(tmp_path, telling)
    assert telling.lines == ["0: batch halved to 4", "1: batch halved to 2"]
    assert [note for note in ended.notes if "halved" in note] == ["batch halved to 4", "batch halved to 2"]
    assert ended.results["model"]["notes"][:2] == ["batch halved to 4", "batch halved to 2"]


def test_what_a_model_noted_stays_in_the_results_of_the_next_invocation(tmp_path: Path) -> None:
    for notes in ((), ("batch halved to 4",), ()):
        with plugins.use(Seen(notes).host()):
            ended = run(
                tmp_path, "plain/x", "fake", Telling(), policy=Policy(start=1, cap=1), retry=frozenset({"answered"})
            )
    assert ended.results["model"]["notes"] == ["batch halved to 4"]


def one_by_one(folder: Path, telling: Telling, judge: str = "fake") -> Run:
    return run(folder, "plain/x", judge, telling, policy=Policy(start=1, cap=1))


def test_a_judge_may_note_things_too_and_what_both_say_is_said_once(tmp_path: Path) -> None:
    seen = Seen(("slow",))
    with plugins.use(seen.host()):
        ended = one_by_one(tmp_path, Telling(), "read=plain/j")
    assert [note for note in ended.notes if note == "slow"] == ["slow"]
