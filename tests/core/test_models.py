"""Finding and opening models, what identifies one, and strategies around them."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from harness import open_model, plugins
from harness.contracts import Model, ModelInfo, Strategy
from harness.errors import HarnessError, UnknownName
from harness.keys import digest
from harness.limits import Endpoints, Metered, Policy
from harness.models import ModelSpec, Resolved, open_metered, resolve
from harness.testing.fakes import FakeModel, fake_provider, fake_sample, host_of
from harness.types import Failure, Message, Request, Response, Setting, Settings, Text

SETTINGS = (
    Setting(name="detail", type=str, default="", identity=True, choices=("", "low", "high")),
    Setting(name="adapter", type=Path, default=None, identity=True),
    Setting(name="timeout", type=float, default=600.0, identity=False),
)
ASK = fake_sample().request


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
        (ModelSpec(ref="fake/x", strategy_settings={"hint": "x"}), "none is given", "--strategy NAME"),
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
    gone = Failure(outcome="error", reason="http_503", transient=True)
    left = ["answered", "seen", gone]
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
    gone = Failure(outcome="error", reason="http_503", transient=True)
    model = FakeModel(["seen", gone, "answered"])
    wrapped = found(strategy="two-steps").wrap(Metered(model, Endpoints(Policy(base=0, longest=0))))
    assert anyio.run(wrapped.generate, ASK) == Response(text="answered")
    assert [len(request.messages) for request in model.asked] == [1, 2, 2]


def test_without_a_strategy_the_model_is_left_as_it_is() -> None:
    model = FakeModel()
    assert found().wrap(model) is model
