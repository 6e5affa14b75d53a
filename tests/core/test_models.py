"""Opening models and brushes: what identifies one, what the core adds, strategies, slots and retries."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from harness import Drawing, Drawn, open_model, plugins
from harness.brushes import find_painter, open_brush
from harness.contracts import Judge, Model, ModelInfo, Provider, Rubric, Strategy
from harness.drawings import draw, png
from harness.errors import EndpointDown, HarnessError, UnknownName
from harness.evaluation.judges import OpenJudge, OpenJudges
from harness.evaluation.options import JudgeOptions, Options
from harness.evaluation.plan import make_plan
from harness.keys import digest
from harness.limits import Endpoints, Metered, Policy
from harness.models import ModelSpec, Resolved, list_settings, open_metered, resolve
from harness.plugins import Host
from harness.progress.lines import SilentProgress
from harness.runs.run import Run, judge_async, run_async
from harness.testing.conformance import NotConforming, check_painter
from harness.testing.fakes import (
    PIXEL,
    FakeBrush,
    FakeModel,
    fake_judge,
    fake_painter,
    fake_provider,
    fake_sample,
    fake_task,
    host_of,
)
from harness.types import Failure, Message, Request, Response, Sample, Setting, Settings, Text, Verdict

SETTINGS = (
    Setting(name="detail", type=str, default="", identity=True, choices=("", "low", "high")),
    Setting(name="adapter", type=Path, default=None, identity=True),
    Setting(name="timeout", type=float, default=600.0, identity=False),
)
ASK = fake_sample().request
GONE = Failure(outcome="error", reason="http_503", transient=True)


class TwoSteps:
    """Describes first, and answers with the description beside the question."""

    def __init__(self, inner: Model, hint: str) -> None:
        self._inner = inner
        self._hint = hint

    @property
    def info(self) -> ModelInfo:
        return self._inner.info

    async def generate(self, request: Request) -> Response | Failure:
        first = await self._inner.generate(request)
        if isinstance(first, Failure):
            return first
        more = Message(role="user", content=(Text(text=f"{self._hint}: {first.text}"),))
        return await self._inner.generate(replace(request, messages=(*request.messages, more)))


def wrap(model: Model, settings: Settings) -> Model:
    return TwoSteps(model, settings["hint"])


TWO_STEPS = Strategy(
    name="two-steps",
    version="1",
    description="",
    wrap=wrap,
    settings=(Setting(name="hint", type=str, default="seen", identity=True),),
)
HOST = host_of(fake_provider(lambda request: f"answer {len(request.messages)}", settings=SETTINGS), TWO_STEPS)


@pytest.fixture(autouse=True)
def offered() -> Iterator[None]:
    with plugins.use(HOST):
        yield


def found(ref: str = "fake/x", **fields: Any) -> Resolved:
    return resolve(ModelSpec(ref=ref, **fields))


def identity(ref: str = "fake/x", fingerprint: Mapping[str, Any] | None = None, **fields: Any) -> Mapping[str, Any]:
    info = ModelInfo(ref=ref, endpoint="fake", fingerprint=fingerprint or {})
    return found(ref, **fields).identity(FakeModel(info=info))


@pytest.mark.parametrize(
    ("spec", "what", "remedy"),
    [
        (ModelSpec(ref="fke/x"), "'fke'", "fake"),
        (ModelSpec(ref="fake"), "'fake' is not a model", "SCHEME/NAME"),
        (ModelSpec(ref="fake/"), "'fake/' is not a model", "SCHEME/NAME"),
        (ModelSpec(ref="fake/x", settings={"detial": "low"}), "no setting 'detial'", "did you mean 'detail'?"),
        (ModelSpec(ref="fake/x", settings={"detail": "hih"}), "detail=hih", "did you mean 'high'?"),
        (ModelSpec(ref="fake/x", strategy="two-step"), "'two-step'", "two-steps"),
        (ModelSpec(ref="fake/x", strategy="two-steps", strategy_settings={"hnt": "x"}), "'hnt'", "'hint'"),
        (ModelSpec(ref="fake/x", strategy_settings={"hint": "x"}), "there is no strategy", "--strategy NAME"),
    ],
)
def test_what_is_misspelled_is_answered_with_a_remedy(spec: ModelSpec, what: str, remedy: str) -> None:
    with pytest.raises(HarnessError) as caught:
        resolve(spec)
    assert what in caught.value.what
    assert remedy in caught.value.remedy


def test_a_name_may_hold_slashes() -> None:
    spec = ModelSpec(ref="hf/Org/Model")
    assert (spec.scheme, spec.name) == ("hf", "Org/Model")


def test_identity_is_what_was_requested_and_leaves_transport_out() -> None:
    assert identity(settings={"detail": "low", "timeout": "5"}) == {
        "scheme": "fake",
        "name": "x",
        "settings": {"detail": "low", "adapter": None},
        "strategy": None,
        "fingerprint": {},
    }


def test_a_local_model_is_known_by_its_files_wherever_they_lie() -> None:
    here, there = (identity(f"fake/{place}", {"config.json": {"sha256": "a"}}) for place in ("here", "there"))
    assert here == there
    overwritten = identity("fake/here", {"config.json": {"sha256": "b"}})
    assert digest(overwritten) != digest(here)


def test_a_folder_in_a_setting_is_known_by_its_name_since_the_fingerprint_tells_its_files() -> None:
    here, there = (identity(settings={"adapter": Path(place) / "lora"}) for place in ("/here", "there"))
    assert here == there
    assert here["settings"]["adapter"] == "lora"


def test_a_strategy_is_part_of_the_identity_with_its_version_and_its_settings() -> None:
    plain = identity()
    assert identity(strategy="two-steps")["strategy"] == {
        "name": "two-steps",
        "version": "1",
        "settings": {"hint": "seen"},
    }
    other = identity(strategy="two-steps", strategy_settings={"hint": "look"})
    digests = {digest(each) for each in (plain, identity(strategy="two-steps"), other)}
    assert len(digests) == 3


def test_only_what_is_not_at_its_default_names_the_folder() -> None:
    assert found(settings={"detail": "", "timeout": "1"}).overrides == {}
    assert found(settings={"detail": "low", "adapter": "lora"}).overrides == {"detail": "low", "adapter": "lora"}
    assert "strategy" in found(strategy="two-steps").overrides


def test_a_provider_may_open_anothers_model() -> None:
    async def body() -> tuple[str, Response | Failure]:
        async with open_model("fake/x", {"detail": "low"}) as model:
            return model.info.ref, await model.generate(ASK)

    assert anyio.run(body) == ("fake/x", Response(text="answer 1"))


def test_opening_what_nobody_offers_is_refused() -> None:
    async def body() -> None:
        async with open_model("nobody/x"):
            raise AssertionError

    with pytest.raises(UnknownName, match="nobody"):
        anyio.run(body)


def test_a_model_opened_outside_of_a_run_is_tried_again_in_its_strategy_and_has_its_notes_told() -> None:
    left = ["answered", "seen", GONE]
    info = ModelInfo(ref="", endpoint="shaky", notes=("mind this",))
    told: list[str] = []
    spec = ModelSpec(ref="shaky/x", strategy="two-steps")

    async def body() -> Response | Failure:
        async with open_metered(spec, Policy(base=0, longest=0), tell=told.append) as model:
            return await model.generate(ASK)

    with plugins.use(host_of(fake_provider(lambda _: left.pop(), scheme="shaky", info=info), TWO_STEPS)):
        assert anyio.run(body) == Response(text="answered")
    assert told == ["mind this"]


class Watched(FakeModel):
    """Counts the calls that are on the wire at once."""

    def __init__(self) -> None:
        super().__init__("ok", ModelInfo(ref="fake/x", endpoint="one", concurrency=1))
        self.at_once = self.most = 0

    async def generate(self, request: Request) -> Response | Failure:
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        await anyio.lowlevel.checkpoint()
        self.at_once -= 1
        return await super().generate(request)


def test_each_call_of_a_strategy_takes_a_slot_and_none_is_held_between() -> None:
    model = Watched()
    strategy = found(strategy="two-steps")

    async def body() -> None:
        wrapped = strategy.wrap(Metered(model, Endpoints(Policy())))
        with anyio.fail_after(5):
            async with anyio.create_task_group() as group:
                for _ in range(3):
                    group.start_soon(wrapped.generate, ASK)

    anyio.run(body)
    assert model.most == 1, "one slot is one call on the wire"
    assert len(model.asked) == 6
    order = [len(request.messages) for request in model.asked]
    assert order[:3] == [1, 1, 1], "with one slot for three samples, no sample keeps it for its second call"


def test_a_failed_step_of_a_strategy_is_tried_again_by_itself() -> None:
    model = FakeModel(["seen", GONE, "answered"])
    wrapped = found(strategy="two-steps").wrap(Metered(model, Endpoints(Policy(base=0, longest=0))))
    assert anyio.run(wrapped.generate, ASK) == Response(text="answered")
    assert [len(request.messages) for request in model.asked] == [1, 2, 2]


def test_without_a_strategy_the_model_is_left_as_it_is() -> None:
    model = FakeModel()
    assert found().wrap(model) is model


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


@pytest.mark.parametrize(
    ("model", "given", "opened"),
    [
        ("vlm/x", {}, {"images_per_prompt": 3}),
        ("vlm/x", {"images_per_prompt": 9}, {"images_per_prompt": 9}),
        ("plain/x", {}, {}),
    ],
    ids=["it is told the most that a sample holds", "the user's value comes first", "it does not ask for it"],
)
def test_a_model_that_declares_it_is_opened_with_the_number_of_images(
    seen: Seen, tmp_path: Path, model: str, given: dict[str, int], opened: dict[str, int]
) -> None:
    run(tmp_path, model, settings=given)
    assert seen.settings == [opened]


def test_with_a_limit_only_what_is_asked_counts(seen: Seen, tmp_path: Path) -> None:
    run(tmp_path, "vlm/x", limit=1)
    [asked] = [json.loads(line) for line in (tmp_path / "fake" / "asked.jsonl").read_text().splitlines()]
    assert seen.settings == [{"images_per_prompt": int(asked["id"].removeprefix("q"))}]


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
    places = ["replicas", "devices", "gpus", "shared", "remote_python"]
    assert [setting.name for setting in list_settings(vlm)] == ["images_per_prompt", *every, *places]
    assert [setting.name for setting in list_settings(plain)] == every


def one_by_one(folder: Path, telling: Telling, judge: str = "fake", **fields: Any) -> Run:
    return run(folder, "plain/x", judge, telling, policy=Policy(start=1, cap=1), **fields)


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
            ended = one_by_one(tmp_path, Telling(), retry=frozenset({"answered"}))
    assert ended.results["model"]["notes"] == ["batch halved to 4"]


def test_a_judge_may_note_things_too_and_what_both_say_is_said_once(tmp_path: Path) -> None:
    seen = Seen(("slow",))
    with plugins.use(seen.host()):
        ended = one_by_one(tmp_path, Telling(), "read=plain/j")
    assert [note for note in ended.notes if note == "slow"] == ["slow"]


STAR = Drawing(prompt="a red star")
FAST = Policy(base=0, longest=0)
STEPS = Setting(name="steps", type=int, default=4, identity=True, least=1)
PAUSE = Setting(name="pause", type=float, default=1.0, identity=False)


@contextmanager
def offering(brush: FakeBrush | None = None) -> Iterator[FakeBrush]:
    brush = brush or FakeBrush()
    with plugins.use(host_of(fake_painter(brush, settings=(STEPS, PAUSE)))):
        yield brush


def in_turn(*results: Drawn | Failure) -> Callable[[Drawing], Drawn | Failure]:
    waiting = list(results)
    return lambda _: waiting.pop(0) if len(waiting) > 1 else waiting[0]


def drawn(brush: FakeBrush, policy: Policy = FAST, times: int = 1, endpoints: Endpoints | None = None) -> Any:
    async def draw() -> Any:
        async with open_brush(find_painter("fake/one"), endpoints or Endpoints(policy)) as opened:
            return [await opened.draw(STAR) for _ in range(times)][-1]

    with offering(brush):
        return anyio.run(draw)


def test_a_painter_is_found_by_its_scheme_with_all_its_settings() -> None:
    with offering():
        found = find_painter("fake/folder/with/slashes", {"steps": "9"})
    assert (found.painter.scheme, found.name) == ("fake", "folder/with/slashes")
    assert found.settings == {"steps": 9, "pause": 1.0}


@pytest.mark.parametrize(
    ("ref", "given", "kind", "told"),
    [
        ("fake", {}, HarnessError, "not a painter"),
        ("fake/", {}, HarnessError, "not a painter"),
        ("fakes/one", {}, UnknownName, "no painter is called 'fakes'\n  did you mean 'fake'?"),
        ("fake/one", {"step": 1}, UnknownName, "steps"),
        ("fake/one", {"steps": 0}, HarnessError, "less than 1"),
    ],
)
def test_what_no_one_offers_or_takes_is_refused_with_what_there_is(
    ref: str, given: dict[str, Any], kind: type[HarnessError], told: str
) -> None:
    with offering(), pytest.raises(HarnessError) as caught:
        find_painter(ref, given)
    assert told in str(caught.value)
    assert isinstance(caught.value, kind)


def test_what_was_requested_is_told_apart_by_what_changes_an_image_and_nothing_else() -> None:
    with offering() as brush:
        some, same, other = (find_painter("fake/one", given) for given in ({}, {"pause": 2.0}, {"steps": 5}))
    assert some.identity(brush) == same.identity(brush)
    assert some.identity(brush) != other.identity(brush)
    local = FakeBrush(info=ModelInfo(ref="", endpoint="x", can=frozenset({"draw"}), fingerprint={"a": 1}))
    assert some.identity(local) == {"scheme": "fake", "name": "", "settings": {"steps": 4}, "fingerprint": {"a": 1}}


def test_a_passing_failure_is_tried_again_until_an_image_comes() -> None:
    brush = FakeBrush(in_turn(GONE, GONE, Drawn(data=PIXEL)))
    assert drawn(brush) == Drawn(data=PIXEL)
    assert brush.asked == [STAR] * 3


def test_a_block_is_final_and_no_error() -> None:
    block = Failure(outcome="input_blocked", reason="content_filter")
    brush = FakeBrush(in_turn(block))
    assert drawn(brush, Policy(breaker=2), times=3) == block
    assert len(brush.asked) == 3


def test_a_painter_that_only_fails_is_stopped() -> None:
    brush = FakeBrush(in_turn(Failure(outcome="error", reason="http_400")))
    with pytest.raises(EndpointDown, match="3 errors in a row"):
        drawn(brush, Policy(breaker=3), times=5)
    assert len(brush.asked) == 3


@pytest.mark.parametrize("data", [b"", b"no image", PIXEL[:40]])
def test_what_is_no_whole_image_is_drawn_again_and_then_an_error(data: bytes) -> None:
    assert drawn(FakeBrush(in_turn(Drawn(data=data), Drawn(data=PIXEL)))) == Drawn(data=PIXEL)
    found = drawn(FakeBrush(in_turn(Drawn(data=data))), Policy(base=0, longest=0, tries=2))
    assert (found.outcome, found.reason) == ("error", "broken_image")


def test_what_a_painter_raises_fails_the_drawing_unless_nothing_will_work() -> None:
    def broken(_: Drawing) -> Drawn:
        raise ZeroDivisionError("by nothing")

    def hopeless(_: Drawing) -> Drawn:
        raise HarnessError("no key")

    found = drawn(FakeBrush(broken))
    assert (found.outcome, found.reason, found.message) == ("error", "ZeroDivisionError", "by nothing")
    with pytest.raises(HarnessError, match="no key"):
        drawn(FakeBrush(hopeless))


def test_what_is_neither_an_image_nor_a_failure_is_an_error() -> None:
    found = drawn(FakeBrush(lambda _: None))  # type: ignore[arg-type,return-value]
    assert (found.reason, found.message) == ("no_answer", "the painter: it returned None, not Drawn or Failure")


def test_a_brush_and_a_model_at_one_endpoint_share_its_slots() -> None:
    endpoints = Endpoints(FAST)
    shared = endpoints.of(ModelInfo(ref="fake/model", endpoint="fake"))
    before = shared.slots
    drawn(FakeBrush(), endpoints=endpoints)
    assert shared.slots == before + 1


def test_what_a_brush_has_to_say_is_told() -> None:
    lines: list[str] = []
    info = ModelInfo(ref="", endpoint="x", can=frozenset({"draw"}), notes=("it is slow",))
    drawn(FakeBrush(info=info), endpoints=Endpoints(FAST, tell=lines.append))
    assert lines == ["it is slow"]


@pytest.mark.parametrize(
    ("brush", "told"),
    [
        (FakeBrush(lambda _: Drawn(data=b"no image")), "not an image"),
        (FakeBrush(lambda _: Drawn(data=PIXEL, seconds=-1)), "less than no time"),
        (FakeBrush(lambda _: GONE), "cannot draw"),
        (FakeBrush(lambda _: PIXEL), "gives a"),  # type: ignore[arg-type,return-value]
        (FakeBrush(info=ModelInfo(ref="", endpoint="", can=frozenset({"draw"}))), "endpoint is empty"),
        (FakeBrush(info=ModelInfo(ref="", endpoint="x")), "does not hold 'draw'"),
        (FakeBrush(info=ModelInfo(ref="", endpoint="x", can=frozenset({"draw"}), local=True)), "local differ"),
    ],
)
def test_the_suite_finds_what_breaks_a_painters_contract(brush: FakeBrush, told: str) -> None:
    with pytest.raises(NotConforming, match=told):
        check_painter(fake_painter(brush), "one")


def test_the_suite_finds_a_seed_that_is_not_heard() -> None:
    more = Random(1)

    def another(_: Drawing) -> Drawn:
        return Drawn(data=png(draw("red", "star", more)))

    with pytest.raises(NotConforming, match="two images"):
        check_painter(fake_painter(FakeBrush(another)), "one")


def test_a_painter_that_keeps_its_contract_passes() -> None:
    check_painter(fake_painter(), "one")
