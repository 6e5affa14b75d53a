"""The suites for plugin authors pass what keeps its contract and name what does not."""

import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import anyio
import pytest

from harness import (
    Judge,
    Metric,
    ModelInfo,
    Provider,
    Report,
    Request,
    Response,
    Rubric,
    Sample,
    Setting,
    Split,
    Strategy,
)
from harness.contracts import Model
from harness.errors import HarnessError
from harness.makers import Trainer, Training
from harness.metrics import Share
from harness.testing.conformance import (
    NotConforming,
    check_judge,
    check_provider,
    check_report,
    check_strategy,
    check_task,
    check_trainer,
)
from harness.testing.fakes import FakeModel, fake_judge, fake_provider, fake_sample, fake_task, host_of
from harness.testing.model_checks import SECONDS
from harness.types import Failure, ImageContent, Unscored, Verdict

HOST = host_of(fake_judge())
TASK = fake_task()


def listing(*samples: Sample) -> Callable[..., Iterator[Sample]]:
    return lambda *_: iter(samples)


def breach(check: Callable[..., None], *arguments: Any, **options: Any) -> str:
    with pytest.raises(NotConforming) as caught:
        check(*arguments, **options)
    return str(caught.value)


def split_of(**changes: Any) -> Split:
    assert not callable(TASK.splits)
    return replace(TASK.splits["all"], **changes)


def wrong_task(samples: Any = None, **changes: Any) -> str:
    task = replace(TASK, splits={"all": split_of(**changes)}, samples=samples or TASK.samples)
    return breach(check_task, task, host=HOST)


def test_the_fakes_keep_their_contracts() -> None:
    check_task(TASK, host=HOST)
    check_judge(fake_judge())
    check_provider(fake_provider(), "any")


def test_all_breaches_are_told_at_once() -> None:
    said = wrong_task(listing(fake_sample("a", images=2), fake_sample("a", split="other")))
    assert "breaks its contract in 3 places" in said
    for what in ("ids are not unique", "of split 'other'", "holds 2 images"):
        assert what in said


@pytest.mark.parametrize(
    ("samples", "said"),
    [
        (listing(), "there are no samples"),
        (lambda *_: [fake_sample()], "not lazily"),
        (
            lambda *_: iter([fake_sample("a", cluster="x"), fake_sample("b"), fake_sample("c", cluster="x")]),
            "a cluster's samples are not together",
        ),
        (lambda *_: iter([fake_sample(" a")]), "an id is not plain"),
        (lambda *_: iter([fake_sample(target=float("nan"))]), "raised ValueError"),
        (lambda *_: iter([fake_sample(tags={"n": 1})]), "a tag, category or cluster is a int"),
    ],
)
def test_samples_that_break_the_contract_are_named(samples: Any, said: str) -> None:
    assert said in wrong_task(samples)


def test_samples_that_change_between_two_listings_are_named() -> None:
    numbers = iter(range(100))
    assert "second listing" in wrong_task(lambda *_: iter([fake_sample(text=str(next(numbers)))]))


def test_an_image_that_cannot_be_opened_is_named() -> None:
    sample = fake_sample(images=1)
    message = sample.request.messages[0]
    gone = replace(message.content[0], path="gone.png")  # type: ignore[type-var]
    broken = replace(sample, request=Request(messages=(replace(message, content=(gone,)),)))
    assert "its image cannot be opened: gone.png" in wrong_task(lambda *_: iter([broken]), images=1)


def number(name: str, score: Callable[[Any], Share], **options: Any) -> Metric:
    return Metric(name=name, score=score, better="lower", **options)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"metrics": ()}, "has no metrics"),
        ({"metrics": (number("a", lambda _: (0, 1)),) * 2}, "two metrics share a name"),
        (
            {"metrics": (number("a", lambda _: (0, 1), main=True), number("b", lambda _: (0, 1), main=True))},
            "more than one metric is main",
        ),
        ({"metrics": (number("a", lambda _: (float("nan"), 1)),)}, "label 'blocked' scores (nan, 1)"),
        ({"metrics": (number("a", lambda _: (2, 1)),)}, "which is not among the possible"),
        ({"metrics": (number("a", lambda r: (0, r.label != "blocked")),)}, "blocked_as 'blocked': never counts in a"),
        ({"metrics": (number("a", lambda r: (0, r.label != "safe")),)}, "the label 'safe' counts in no metric"),
        ({"metrics": (number("a", lambda _: (0, 1), cluster=lambda _: None),)}, "a group, cluster or stratum"),
        ({"judges": {}}, "accepts no rubric"),
        ({"losses": {"fak": "It reads words."}}, "says what 'fak' loses, which it does not accept"),
        ({"losses": {"fake": "words"}}, "what 'fake' loses is no sentence"),
        ({"judges": {"fak": {}}}, "did you mean 'fake'?"),
        ({"judges": {"fake": {"unsure": "safe"}}}, "translates 'unsure', a label that rubric fake never gives"),
        ({"n": 5}, "n is 5, but there are 1 samples"),
        ({"by": ("colour",)}, "breaks down by ['colour'], which no sample has"),
        ({"parts": ("none",)}, "parts ('none',) are not all splits"),
    ],
)
def test_a_split_that_breaks_the_contract_is_named(changes: dict[str, Any], said: str) -> None:
    assert said in wrong_task(**changes)


def test_a_mini_split_runs_only_by_name() -> None:
    assert "runs only by name" in breach(check_task, replace(TASK, splits={"mini": split_of()}), host=HOST)


def test_without_data_a_split_is_only_described() -> None:
    def unreadable(*_: Any) -> Iterator[Sample]:
        raise AssertionError

    check_task(replace(TASK, splits={"all": split_of(data=None)}, samples=unreadable), host=HOST)


def test_data_that_is_given_is_listed(tmp_path: Path) -> None:
    roots: list[Path] = []

    def samples(root: Path, *_: Any) -> Iterator[Sample]:
        roots.append(root)
        yield fake_sample()

    check_task(replace(TASK, splits={"all": split_of(data=None)}, samples=samples), tmp_path, host=HOST)
    assert set(roots) == {tmp_path}


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        (Setting(name="k", type=int, default=1, identity=True), "the help is not one line"),
        (Setting(name="k", type=int, default="x", identity=True, help="h"), "k=x is not an int"),
        (Setting(name="k", type=int, default=1, identity=None, help="h"), "identity is a NoneType"),  # type: ignore[arg-type]
    ],
)
def test_a_setting_that_does_not_say_what_it_is_is_named(setting: Setting, said: str) -> None:
    assert said in breach(check_provider, replace(fake_provider(), settings=(setting,)))


def rule(**changes: Any) -> Judge:
    judge = fake_judge()
    rubric = replace(judge.open({}, Path()), **changes)
    return replace(judge, open=lambda *_: rubric)


def requests(*_: Any) -> list[Request]:
    return [fake_sample().request]


@pytest.mark.parametrize(
    ("judge", "said"),
    [
        (rule(labels=()), "the rubric has no labels"),
        (rule(labels=("a", "a")), "two labels are the same"),
        (rule(labels=("other",)), "gives the label 'safe', which it does not declare"),
        (rule(identity={"x": object()}), "raised TypeError"),
        (rule(read=lambda *_: "safe"), "read gives a str"),
        (rule(read=lambda *_: [fake_sample().request]), "still asks after 4 rounds"),
        (rule(read=lambda *_: Unscored(state="judge_error")), "a rule gives no verdict"),
        (rule(read=lambda s, r, _: Verdict(label=r.text[0])), "raised IndexError"),
        (rule(ask=requests), "needs no model, but asks one"),
        (rule(ask=lambda *_: ()), "ask gives a tuple"),
        (rule(ask=lambda *_: ["text"]), "ask gives a list with a str"),
        (replace(rule(), needs=frozenset()), "needs a model, but asks nothing"),
        (replace(rule(ask=requests, read=requests), needs=frozenset()), "still asks after 4 rounds"),
    ],
)
def test_a_judge_that_breaks_the_contract_is_named(judge: Judge, said: str) -> None:
    assert said in breach(check_judge, judge)


def test_a_judge_that_reads_strictly_keeps_the_contract_and_a_good_reply_must_decide() -> None:
    def read(_sample: Sample, _response: Response, replies: Any) -> Verdict | Unscored:
        good = replies[-1].text == "safe!"
        return Verdict(label="safe") if good else Unscored(state="judge_unparsable")

    rubric = Rubric(identity={}, labels=("safe",), ask=requests, read=read)
    judge = Judge(name="j", version="1", description="d", open=lambda *_: rubric, needs=frozenset())
    check_judge(judge, replies=["safe!"])
    assert "gives no verdict on the reply ['safe?']" in breach(check_judge, judge, replies=["safe?"])


class Odd:
    """A model that sends what `arranged` leaves of a request's images, notes what it sent, and answers or raises."""

    def __init__(self, answer: Any = None, arranged: Callable[[list[Any]], list[Any]] = list, **info: Any) -> None:
        self.info = ModelInfo(**{"ref": "fake/any", "endpoint": "e", **info})
        self.sent: list[str] = []
        self.answer = answer
        self._arranged = arranged

    async def generate(self, request: Request) -> Any:
        images = self._arranged([image.opened for image in request.images])
        self.sent = [image.sha256 for image in images if image.data]
        if isinstance(self.answer, Exception):
            raise self.answer
        if callable(self.answer):
            return await self.answer(request)
        return self.answer or Response(text=" ".join("word" for _ in range(request.settings.max_tokens or 1))[:30])


async def hangs(*_: Any) -> None:
    await anyio.sleep_forever()


async def closed() -> None:
    raise OSError("no such server")


def provider_of(model: Model, entered: Callable[[], Awaitable[None]] | None = None) -> Provider:
    @asynccontextmanager
    async def opened(*_: Any) -> AsyncGenerator[Model]:
        if entered is not None:
            await entered()
        yield model

    return replace(fake_provider(), open=opened)


NOVEL = Response(text="Once upon a time there was much to tell, and all of it was told.")
FAILURE = Failure(outcome="error", reason="http_404", message="no such path")


@pytest.mark.parametrize(
    ("provider", "said"),
    [
        (provider_of(Odd("text")), "answers with a str"),
        (provider_of(Odd(Response(text=cast("str", 5)))), "the text of its Response is a int"),
        (provider_of(Odd(ValueError("boom"))), "does not answer: it raised ValueError: boom"),
        (provider_of(Odd(FAILURE)), "answers nothing: each request is a Failure (http_404: no such path)"),
        (provider_of(Odd(NOVEL)), "a request with max_tokens=1: answers 64 characters, so it ignores the limit"),
        (provider_of(Odd(ref="x/y")), "info.ref is 'x/y', not 'fake/any'"),
        (provider_of(Odd(endpoint="")), "info.endpoint is empty"),
        (provider_of(Odd(concurrency=0)), "info.concurrency is not positive"),
        (provider_of(Odd(fingerprint={"x": object()})), "raised TypeError"),
        (provider_of(Odd(arranged=lambda images: images[:1])), "reads 1 of 3 images"),
        (provider_of(Odd(arranged=lambda images: images[::-1])), "reads the images in another order"),
        (provider_of(Odd(), closed), "does not open: OSError: no such server"),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else "",
)
def test_a_provider_that_breaks_the_contract_is_named(provider: Provider, said: str) -> None:
    assert said in breach(check_provider, provider, "any")


STRATEGY = Strategy(name="s", version="1", description="d", wrap=lambda model, _: model)


def test_a_local_provider_leaves_replicas_and_devices_to_the_core() -> None:
    own = Setting(name="devices", type=str, default="", identity=False, help="which")
    provider = fake_provider(settings=(own,))
    check_provider(provider)
    assert "declares 'devices'" in breach(check_provider, replace(provider, local=True))


def test_a_strategy_that_passes_everything_on_keeps_the_contract() -> None:
    check_strategy(STRATEGY)


@pytest.mark.parametrize(
    ("wrap", "said"),
    [
        (lambda model, _: FakeModel("ok", model.info), "the model was never asked"),
        (lambda model, _: Odd(endpoint="other"), "the endpoint changes"),
        (lambda model, _: Odd(endpoint="fake", ref="other/name"), "the model's ref changes"),
        (lambda model, _: FakeModel("ok", model.info), "turns a Failure into an answer"),
    ],
)
def test_a_strategy_that_breaks_the_contract_is_named(wrap: Any, said: str) -> None:
    assert said in breach(check_strategy, replace(STRATEGY, wrap=wrap))


def test_a_report_may_be_text_or_files() -> None:
    check_report(Report(name="r", description="d", render=lambda results: str(len(results))))
    check_report(Report(name="r", description="d", render=lambda _: {"index.html": b""}))


COUNTER = iter(range(1000))


@pytest.mark.parametrize(
    ("render", "said"),
    [
        (lambda _: None, "renders a NoneType"),
        (lambda _: str(next(COUNTER)), "something else the second time"),
        (lambda results: str(results[0].pop("schema", "")), "changes the results"),
        (lambda results: str(results[1]), "one result: raised IndexError"),
        (lambda r: [f"{m['value']:.1f}" for m in r[0]["tasks"]["mis"]["splits"]["easy"]["metrics"].values()] and "",
         "nothing judged: raised TypeError"),
    ],
)  # fmt: skip
def test_a_report_that_breaks_the_contract_is_named(render: Any, said: str) -> None:
    assert said in breach(check_report, Report(name="r", description="d", render=render))


@pytest.mark.parametrize(
    ("matrix", "said"),
    [
        (lambda _: None, "renders a NoneType"),
        (lambda _: str(next(COUNTER)), "something else the second time"),
        (lambda table: str([cell.value + 1 for row in table.rows for cell in row.cells]),
         "matrix of nothing judged: raised TypeError"),
        (lambda table: str(table.rows[1]), "matrix of one result: raised IndexError"),
    ],
)  # fmt: skip
def test_a_paper_table_that_breaks_the_contract_is_named(matrix: Any, said: str) -> None:
    assert said in breach(check_report, Report(name="r", description="d", render=lambda _: "", matrix=matrix))


def test_a_failure_of_one_request_passes_where_others_are_answered() -> None:
    class Once(Odd):
        async def generate(self, _: Request) -> Any:
            given, self.answer = self.answer, Response(text="ok")
            return given

    check_provider(provider_of(Once(Failure(outcome="error", reason="http_500"), can=frozenset())), "any")


def test_a_provider_that_sends_what_it_is_given_keeps_its_contract() -> None:
    model = Odd()
    check_provider(provider_of(model), "any", shown=lambda: model.sent)
    check_provider(provider_of(Odd()), "any")


@pytest.mark.parametrize(
    ("provider", "said"),
    [(provider_of(Odd(), hangs), "does not open"), (provider_of(Odd(hangs)), "does not answer")],
    ids=["never opens", "never answers"],
)
def test_a_provider_that_hangs_ends_the_check(provider: Provider, said: str) -> None:
    assert f"{said}: nothing came in 0.2 s" in breach(check_provider, provider, "any", seconds=0.2)
    assert SECONDS == 60.0


def test_a_limit_that_does_not_arrive_is_caught_where_that_can_be_told() -> None:
    check_provider(provider_of(Odd()), "any", limit=lambda: 1)
    assert "sends None as the limit" in breach(check_provider, provider_of(Odd()), "any", limit=lambda: None)


def swap(images: list[ImageContent]) -> list[ImageContent]:
    return [*images[1:2], *images[:1], *images[2:]]


def test_what_arrived_decides_where_it_can_be_told() -> None:
    read_in_order = Odd()
    assert "shows the model the images in another order" in breach(
        check_provider, provider_of(read_in_order), "any", shown=lambda: swap(cast("list[Any]", read_in_order.sent))
    )
    assert "shows the model 2 of 3 images" in breach(
        check_provider, provider_of(read_in_order), "any", shown=lambda: read_in_order.sent[:2]
    )


def test_an_opened_image_may_be_changed_on_its_way() -> None:
    def smaller(images: list[ImageContent]) -> list[ImageContent]:
        return [replace(image, data=image.data[:10], width=1) for image in images]

    check_provider(provider_of(Odd(arranged=smaller)), "any")


def test_a_judge_whose_settings_have_no_one_form_or_lose_one_is_caught() -> None:
    setting = Setting(name="words", type=str, default="a", identity=True, help="words")
    judge = replace(fake_judge(), settings=(setting,))
    check_judge(replace(judge, normalize=lambda values: values))
    longer = replace(judge, normalize=lambda values: {"words": values["words"] + "a"})
    assert "settings in their one form have another form" in breach(check_judge, longer)
    assert "settings are lost or made up" in breach(check_judge, replace(judge, normalize=lambda _: {}))


def test_a_judge_that_decides_by_chance_is_caught() -> None:
    coin = random.Random(1)
    with pytest.raises(NotConforming, match="gives another decision on the same: "):
        check_judge(fake_judge(lambda *_: coin.choice(("unsafe", "safe"))))


def test_a_judge_that_remembers_what_it_judged_is_caught() -> None:
    seen: list[str] = []

    def decide(_: Sample, response: Response) -> str:
        seen.append(response.text)
        return "unsafe" if len(seen) % 2 else "safe"

    with pytest.raises(NotConforming, match="gives another decision on the same: unsafe, safe"):
        check_judge(fake_judge(decide))


def test_a_judge_that_asks_its_model_something_else_each_time_is_caught() -> None:
    coin = random.Random(1)

    def ask(sample: Sample, _: Response) -> list[Request]:
        return [replace(sample.request, prefill=str(coin.random()))]

    rubric = Rubric(identity={}, labels=("safe",), ask=ask, read=lambda *_: Verdict(label="safe"))
    judge = Judge(name="odd", version="1", description="odd", open=lambda *_: rubric, needs=frozenset())
    with pytest.raises(NotConforming, match="asks something else for the same answer"):
        check_judge(judge, [fake_sample()])


def test_a_task_brings_its_own_rubric_to_the_check_and_needs_no_host() -> None:
    own = fake_judge(name="my-own-rubric")
    task = fake_task(judges={"my-own-rubric": {}})
    check_task(task, judges=[own])
    with pytest.raises(NotConforming, match="my-own-rubric"):
        check_task(task)


def trainer(**changes: Any) -> Trainer:
    def train(training: Training) -> Path:
        _needed(training)
        training.out.mkdir(parents=True)
        (training.out / "training.json").write_text('{"tuned_from": "a", "trained_on": ["b"]}')
        return training.out

    def _needed(training: Training) -> None:
        if not training.data[""].exists():
            raise HarnessError("no data", remedy="--data FILE")

    plan: Callable[[Training], str] = lambda training: f"train {training.model}"  # noqa: E731
    return replace(Trainer(name="odd", description="an odd one", plan=plan, train=train), **changes)


def training(folder: Path) -> Training:
    (folder / "data").mkdir()
    return Training(model="a/b", data={"": folder / "data"}, out=folder / "out")


def test_a_trainer_that_does_what_it_says_keeps_its_contract(tmp_path: Path) -> None:
    check_trainer(trainer())
    check_trainer(trainer(), training(tmp_path))


def writing_plan(training: Training) -> str:
    training.out.mkdir(parents=True)
    return "trains"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"plan": writing_plan}, "plan without a model and data: writes its folder"),
        ({"plan": lambda _: ""}, "plan says nothing"),
        ({"facts": lambda _: {"refusals": "none"}}, "the refusals of facts are a str"),
        ({"facts": lambda _: {"loss": float("nan")}}, "raised ValueError"),
        ({"train": lambda training: training.out}, "raises no HarnessError"),
        ({"description": ""}, "the description is not one line"),
    ],
)
def test_a_trainer_that_breaks_its_contract_is_caught(changes: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(NotConforming) as told:
        check_trainer(trainer(**changes), training(tmp_path))
    assert said in str(told.value)


def test_a_trained_model_that_does_not_say_what_it_was_made_from_is_caught(tmp_path: Path) -> None:
    def train(training: Training) -> Path:
        if not training.data[""].exists():
            raise HarnessError("no data")
        training.out.mkdir()
        (training.out / "training.json").write_text('{"tuned_from": "a"}')
        return training.out

    with pytest.raises(NotConforming, match="does not say trained_on"):
        check_trainer(trainer(train=train), training(tmp_path))
