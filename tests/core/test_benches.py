"""Opening judges: ids, `-J`, abilities, and what is found before anything is spent."""

from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from harness import plugins
from harness.contracts import Judge, Model, ModelInfo, Provider, Rubric
from harness.errors import HarnessError, UnknownName
from harness.evaluation.judges import OpenJudge, OpenJudges, check_judges, select_settings
from harness.evaluation.options import Options
from harness.evaluation.splits import JudgeChoice, find_unused_models
from harness.limits import Endpoints
from harness.models import ModelSpec
from harness.testing.fakes import FakeModel, fake_judge, fake_provider, host_of
from harness.types import Failure, Request, Response, Setting, Settings, Verdict

SETTINGS = (
    Setting(name="base_url", type=str, default="", identity=True),
    Setting(name="timeout", type=float, default=600.0, identity=False),
)


class Opened:
    """A provider that counts what it opened and closed."""

    def __init__(self, info: ModelInfo | None = None) -> None:
        self.names: list[str] = []
        self.closed: list[str] = []
        self.settings: list[Settings] = []
        self.info = info or ModelInfo(ref="seen/x", endpoint="seen")

    @property
    def provider(self) -> Provider:
        return Provider(scheme="seen", description="", open=self._open, settings=SETTINGS)

    @asynccontextmanager
    async def _open(self, name: str, settings: Settings) -> AsyncGenerator[Model]:
        self.names.append(name)
        self.settings.append(settings)
        yield FakeModel("ready", self.info)
        self.closed.append(name)


def judge(name: str = "tone", *, needs: Any = frozenset(), identity: Mapping[str, Any] | None = None) -> Judge:
    rubric = Rubric(
        identity=identity or {"template_hash": "abc"},
        labels=("calm",),
        ask=lambda _s, _r: [],
        read=lambda *_: Verdict(label="calm"),
        sees=("question", "answer"),
    )
    return Judge(name=name, version="1", description="", open=lambda _s, _d: rubric, needs=needs)


@pytest.fixture
def seen() -> Iterator[Opened]:
    made = Opened()
    with plugins.use(host_of(made.provider, judge("tone"), judge("other"), fake_judge(name="rule"))):
        yield made


def choice(model: str = "seen/J", of: Judge | None = None, **fields: Any) -> JudgeChoice:
    defaults: dict[str, Any] = {"settings": {}, "root": Path("tone"), "translation": {}, "images": 2}
    return JudgeChoice(judge=of or judge(), model=model, **defaults | fields)


def options(**given: Any) -> Options:
    return Options(model=ModelSpec(ref="fake/x"), tasks=("fake",), **{"probe": False, "judge_settings": {}, **given})


def opened(*choices: JudgeChoice, **given: Any) -> list[OpenJudge]:
    async def body() -> list[OpenJudge]:
        asked = options(**given)
        async with AsyncExitStack() as stack:
            every = OpenJudges(asked, Endpoints(asked.policy), stack)
            return [await every.open(each) for each in choices]

    return anyio.run(body)


def judge_id(each: JudgeChoice, **given: Any) -> str:
    return opened(each, **given)[0].id


def test_an_id_names_the_rubric_the_model_and_a_hash(seen: Opened) -> None:
    rubric, model, digits = judge_id(choice("seen/Org/Model v1")).split("-", 2)
    assert (rubric, model) == ("tone", "seen")
    assert digits.startswith("Org-Model-v1-")
    assert len(digits.rpartition("-")[2]) == 8
    rule = judge_id(choice("", fake_judge(name="rule")))
    assert rule.startswith("rule-")
    assert len(rule) == len("rule-") + 8


def test_an_id_depends_on_what_can_change_a_verdict_and_on_nothing_else(seen: Opened) -> None:
    plain = judge_id(choice())
    changed = [
        judge_id(choice(of=judge(identity={"template_hash": "xyz"}))),
        judge_id(choice(), judge_settings={"base_url": "http://127.0.0.1:1/v1"}),
        judge_id(choice(), judge_settings={"temperature": "0.5"}),
    ]
    assert len({plain, *changed}) == 4
    same = [
        judge_id(choice(), judge_settings={"timeout": "5"}),
        judge_id(choice(), judge_settings={"other.temperature": "0.5"}),
        judge_id(choice(root=Path("elsewhere"))),
    ]
    assert set(same) == {plain}


def test_an_override_is_one_value_however_it_is_spelled(seen: Opened) -> None:
    spelled: list[Any] = ["0.5", "0.50", 0.5]
    assert len({judge_id(choice(), judge_settings={"temperature": each}) for each in spelled}) == 1


def test_overrides_reach_the_requests_and_the_rest_reaches_the_provider(seen: Opened) -> None:
    given = {"max_tokens": "9", "tone.temperature": 0, "timeout": "5", "seed": None}
    (bench,) = opened(choice(), judge_settings=given)
    assert bench.overrides == {"max_tokens": 9, "temperature": 0.0, "seed": None}
    assert seen.settings == [{"base_url": "", "timeout": 5.0}]


def test_what_is_said_of_one_rubric_stands_over_what_is_said_of_all(seen: Opened) -> None:
    given = {"temperature": "0", "tone.temperature": "1", "other.temperature": "2", "tone.seed": "3"}
    assert select_settings("tone", given) == {"temperature": "1", "seed": "3"}
    assert select_settings("other", given) == {"temperature": "2"}


def test_the_card_tells_rubric_model_and_the_settings_that_bear_on_verdicts(seen: Opened) -> None:
    (bench,) = opened(choice(), judge_settings={"base_url": "http://x/v1", "timeout": "5", "temperature": "1"})
    assert bench.card == {
        "rubric": "tone",
        "version": "1",
        "template_hash": "abc",
        "fidelity": "own",
        "model": "seen/J",
        "resolved": [],
        "settings": {"base_url": "http://x/v1", "temperature": 1.0},
        "sees": ["question", "answer"],
        "labels": {"calm": ""},
    }


def test_two_rubrics_of_one_model_share_it_and_one_rubric_with_two_models_is_two_judges(seen: Opened) -> None:
    every = opened(choice("seen/A"), choice("seen/A", judge("other")), choice("seen/B"), choice("seen/A"))
    assert seen.names == ["A", "B"]
    assert seen.closed == ["B", "A"]
    assert every[0] is every[3]
    assert len({bench.id for bench in every}) == 3


def test_one_model_with_other_settings_is_another(seen: Opened) -> None:
    opened(choice("seen/A"), choice("seen/A", judge("other")), judge_settings={"other.timeout": "5"})
    assert seen.names == ["A", "A"]


@pytest.mark.parametrize(
    ("given", "what", "remedy"),
    [
        ({"temprature": "0"}, "no setting 'temprature'", "did you mean 'temperature'?"),
        ({"base_ulr": "x"}, "no setting 'base_ulr'", "did you mean 'base_url'?"),
        ({"temperature": "hot"}, "temperature=hot is not a float", ""),
        ({"max_tokens": 1.5}, "max_tokens=1.5 is not an int", ""),
        ({"tune.seed": "1"}, "-J tune.seed: no judge 'tune'", "did you mean 'tone'?"),
    ],
)
def test_a_wrong_setting_of_a_judge_is_found_before_anything_is_opened(
    seen: Opened, given: dict[str, Any], what: str, remedy: str
) -> None:
    with pytest.raises(HarnessError) as caught:
        check_judges([choice()], options(judge_settings=given))
    assert what in caught.value.what
    assert remedy in caught.value.remedy
    assert seen.names == []


@pytest.mark.parametrize(("ref", "what"), [("sen/J", "'sen'"), ("seen/", "'seen/' is not a model")])
def test_a_wrong_model_of_a_judge_is_found_before_anything_is_opened(seen: Opened, ref: str, what: str) -> None:
    with pytest.raises(HarnessError, match=what):
        check_judges([choice(ref)], options())


@pytest.mark.parametrize("text", ["sen/J", "rule=sen/J"])
def test_a_wrong_model_is_found_also_where_no_rubric_asks_it(seen: Opened, text: str) -> None:
    with pytest.raises(UnknownName, match="'sen'"):
        check_judges([choice("", fake_judge(name="rule"))], options(judges=(text,)))


def test_a_model_that_no_rubric_asks_is_said_not_to_be_used(seen: Opened) -> None:
    rule, asked = choice("", fake_judge(name="rule")), choice("seen/J")
    assert find_unused_models(("seen/J",), [rule]) == ["--judge seen/J is not used: no model is asked by the rule rule"]
    assert find_unused_models(("seen/J", "seen/K"), [asked]) == [
        "--judge seen/K is not used: no rubric of this run asks it"
    ]
    assert find_unused_models(("seen/J", "rule"), [rule, asked]) == find_unused_models((), [rule]) == []


def test_settings_for_judges_do_not_trouble_a_run_whose_judges_are_rules(seen: Opened) -> None:
    check_judges([choice("", fake_judge(name="rule"))], options(judge_settings={"temperature": "0"}))
    with pytest.raises(UnknownName):
        check_judges([], options(judge_settings={"tune.seed": "1"}))


@pytest.mark.parametrize(
    ("info", "what"),
    [
        ({"can": frozenset({"system"})}, "needs a model that can: images"),
        ({"max_images": 1}, "shows 2 images at once; seen/x takes 1"),
    ],
)
def test_a_model_that_cannot_do_what_the_rubric_needs_is_refused(info: dict[str, Any], what: str) -> None:
    made = Opened(ModelInfo(ref="seen/x", endpoint="seen", **info))
    looking = judge("look", needs=frozenset({"images"}))
    with plugins.use(host_of(made.provider, looking)):
        with pytest.raises(HarnessError, match=what) as caught:
            opened(choice(of=looking))
        assert caught.value.remedy.startswith("--judge look=")
        opened(choice(of=judge("blind")))


def test_a_rubric_that_is_opened_without_images_needs_no_model_that_sees() -> None:
    made = Opened(ModelInfo(ref="seen/x", endpoint="seen", can=frozenset({"system"})))
    looking = judge("look", needs=frozenset({"images"}))
    hiding = replace(looking, open=lambda s, d: replace(looking.open(s, d), needs=frozenset()))
    with plugins.use(host_of(made.provider, hiding)):
        opened(choice(of=hiding))


def failing(reply: Response | Failure | HarnessError) -> Callable[[Request], Response | Failure]:
    def script(_: Request) -> Response | Failure:
        if isinstance(reply, HarnessError):
            raise reply
        return reply

    return script


@pytest.mark.parametrize(
    ("reply", "what"),
    [
        (HarnessError("the key is not accepted"), "key is not accepted"),
        (Failure(outcome="error", reason="http_400", message="no"), "fake/J does not answer: http_400: no"),
    ],
)
def test_a_judge_that_does_not_answer_is_found_by_one_question_when_it_is_opened(
    reply: Failure | HarnessError, what: str
) -> None:
    with plugins.use(host_of(fake_provider(failing(reply)), judge())):
        with pytest.raises(HarnessError, match=what):
            opened(choice("fake/J"), probe=True)
        opened(choice("fake/J"), probe=False)
