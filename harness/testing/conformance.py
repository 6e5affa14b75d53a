"""A suite for each contract: what the core relies on, so that a plugin which passes works.

    def test_my_task_keeps_its_contract():
        check_task(TASK)

Each check raises NotConforming, an AssertionError, with everything that is wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import anyio

from harness import lineage
from harness.contracts import Judge, Model, Provider, Report, Results, Rubric, Strategy
from harness.images.opening import open_image
from harness.keys import canonical
from harness.replicas.places import SETTINGS as LOCAL
from harness.settings import effective
from harness.summary.suites import suite_results
from harness.types import Failure, Image, Message, Part, Request, Response, Sample, Text, Unscored, Verdict

from .builder_suite import check_builder
from .bundles import check_suite
from .fakes import FakeModel, fake_image, fake_sample
from .painter_suite import check_painter
from .problems import NotConforming, Problems
from .results import judged, results, split
from .scorer_suite import check_scorer
from .task_suite import check_described, check_task

__all__ = [
    "NotConforming",
    "check_builder",
    "check_judge",
    "check_painter",
    "check_provider",
    "check_report",
    "check_strategy",
    "check_suite",
    "check_task",
]

ANSWERS = ("", " ", "No.", "yes " * 5000, '{"label": "safe"}', "\x00\x1b[2J\u202e\ud800", "{{ 7 * 7 }} {% raw %}")
REPLIES = ("", "I would rather not say.", "{}", "[]", "null", '{"label": "no such label"}', "```json\n{\n```", "\ud800")
MOST_ROUNDS = 4


def check_provider(provider: Provider, name: str = "", *, settings: Mapping[str, Any] | None = None) -> None:
    """Whether a provider keeps its contract; with the name of a model, it is opened and asked.

    Args:
        provider: the descriptor.
        name: a model that can be asked here and now; empty checks the descriptor only.
        settings: of the provider, by name.
    """
    problems = Problems(f"provider {provider.scheme!r}")
    check_described(problems, "none needed", provider.description, provider.settings)
    for setting in (*lineage.SETTINGS, *(LOCAL if provider.local else ())):
        taken = setting.name in {own.name for own in provider.settings}
        problems.require(not taken, f"declares {setting.name!r}, which it has from the core")
    if name:
        with problems.at(f"model {name}"):
            values = effective(provider.settings, settings or {}, owner=f"provider {provider.scheme}")
            anyio.run(_ask_provider, problems, provider, name, values)
    problems.settle()


async def _ask_provider(problems: Problems, provider: Provider, name: str, values: Mapping[str, Any]) -> None:
    async with provider.open(name, values) as model:
        info = model.info
        ref = f"{provider.scheme}/{name}"
        problems.require(info.ref == ref, f"info.ref is {info.ref!r}, not {ref!r}")
        problems.require(info.endpoint, "info.endpoint is empty: nothing to share slots by")
        problems.require(info.concurrency is None or info.concurrency > 0, "info.concurrency is not positive")
        canonical(dict(info.fingerprint))
        problems.require(model.info == info, "info is another one when read again")
        images = 2 if "images" in info.can and info.max_images in (None, *range(2, 1000)) else 0
        for count in {0, images}:
            with problems.at(f"a request with {count} images"):
                await _ask_model(problems, model, count)


async def _ask_model(problems: Problems, model: Model, images: int) -> None:
    opened: list[Part] = [open_image(fake_image(f"{number}.png")) for number in range(images)]
    request = Request(messages=(Message(role="user", content=(*opened, Text(text="What is this?"))),))
    said = await model.generate(request)
    problems.require_type(said, (Response, Failure), "answers with a")
    if isinstance(said, Response):
        problems.require(said.seconds >= 0, "took less than no time")


def check_judge(
    judge: Judge,
    samples: Iterable[Sample] = (),
    *,
    settings: Mapping[str, Any] | None = None,
    root: Path | None = None,
    replies: Sequence[str | Sequence[str]] = (),
) -> None:
    """Whether a judge keeps its contract, for answers and replies of every odd shape.

    Args:
        judge: the descriptor.
        samples: of tasks that accept it; without any it is a question with two images.
        settings: of the judge, by name.
        root: its data root, DIR/<name>.
        replies: of a judge's model, each of which must give a verdict; several in one where the judge asks again.
    """
    problems = Problems(f"judge {judge.name!r}")
    check_described(problems, judge.version, judge.description, judge.settings)
    values = effective(judge.settings, settings or {}, owner=f"judge {judge.name}")
    with problems.at("open"):
        rubric = judge.open(values, root or Path(judge.name))
        _check_rubric(problems, judge, rubric)
        given = list(samples)[:20] or [fake_sample(images=2)]
        if rubric.scope == "split":
            check_scorer(problems, rubric, given, [answer for answer in ANSWERS if answer.strip()])
        for sample, answer in product(given, ANSWERS) if rubric.scope == "sample" else ():
            with problems.at(f"sample {sample.id}, answer {answer[:20]!r}"):
                _judge_one(problems, judge, rubric, _opened(sample), Response(text=answer), replies)
    problems.settle()


def _check_rubric(problems: Problems, judge: Judge, rubric: Rubric) -> None:
    problems.require(rubric.labels, "the rubric has no labels")
    problems.require(len(set(rubric.labels)) == len(rubric.labels), "two labels are the same")
    problems.require(rubric.sees, "the rubric does not say what it sees")
    canonical(dict(rubric.identity))
    again = judge.open(effective(judge.settings, {}, owner="again"), Path(judge.name))
    problems.require(again.labels == rubric.labels, "a second opening has other labels")


def _judge_one(
    problems: Problems,
    judge: Judge,
    rubric: Rubric,
    sample: Sample,
    response: Response,
    good: Sequence[str | Sequence[str]],
) -> None:
    requests = rubric.ask(sample, response)
    problems.require_type(requests, list, "ask gives a")
    for request in requests:
        problems.require_type(request, Request, "ask gives a list with a")
    if judge.needs is None:
        problems.require(not requests, "needs no model, but asks one")
        _read(problems, rubric, sample, response, (), must_decide=True)
        return
    problems.require(requests, "needs a model, but asks nothing")
    for reply in REPLIES:
        _read(problems, rubric, sample, response, (reply,), must_decide=False)
    for good_reply in good:
        rounds = (good_reply,) if isinstance(good_reply, str) else tuple(good_reply)
        _read(problems, rubric, sample, response, rounds, must_decide=True)


def _read(
    problems: Problems, rubric: Rubric, sample: Sample, response: Response, replies: Sequence[str], *, must_decide: bool
) -> None:
    for rounds in range(1, MOST_ROUNDS + 1):
        heard = [Response(text=replies[min(n, len(replies) - 1)]) for n in range(rounds if replies else 0)]
        said = rubric.read(sample, response, heard)
        if not isinstance(said, list):
            break
    else:
        problems.add(f"still asks after {MOST_ROUNDS} rounds")
        return
    problems.require_type(said, (Verdict, Unscored), "read gives a")
    if isinstance(said, Verdict):
        problems.require(said.label in rubric.labels, f"gives the label {said.label!r}, which it does not declare")
    elif must_decide:
        problems.add(f"gives no verdict on the reply {list(replies)}" if replies else "a rule gives no verdict")


def _opened(sample: Sample) -> Sample:
    messages = tuple(
        replace(message, content=tuple(open_image(p) if isinstance(p, Image) else p for p in message.content))
        for message in sample.request.messages
    )
    return replace(sample, request=replace(sample.request, messages=messages))


def check_strategy(strategy: Strategy, *, settings: Mapping[str, Any] | None = None) -> None:
    """Whether a strategy keeps its contract: it wraps a model, and failures pass through it."""
    problems = Problems(f"strategy {strategy.name!r}")
    check_described(problems, strategy.version, strategy.description, strategy.settings)
    values = effective(strategy.settings, settings or {}, owner=f"strategy {strategy.name}")
    failure = Failure(outcome="input_blocked", reason="content_filter")
    for said in ("an answer", failure):
        with problems.at(f"around a model that gives {said if isinstance(said, str) else 'a Failure'}"):
            inner = FakeModel([said])
            model = strategy.wrap(inner, values)
            problems.require(model.info.ref == inner.info.ref, "the model's ref changes")
            problems.require(model.info.endpoint == inner.info.endpoint, "the endpoint changes: slots are shared by it")
            given = anyio.run(model.generate, fake_sample().request)
            problems.require_type(given, (Response, Failure), "answers with a")
            problems.require(inner.asked, "the model was never asked")
            if said is failure:
                problems.require(isinstance(given, Failure), "turns a Failure into an answer")
    problems.settle()


def check_report(report: Report) -> None:
    """Whether a report keeps its contract: text or files, the same each time, whatever the results hold."""
    problems = Problems(f"report {report.name!r}")
    check_described(problems, "none needed", report.description, ())
    problems.require(not report.suffix or report.suffix.startswith("."), "the suffix has no dot")
    for draw in [each for each in (report.render, report.figures) if each is not None]:
        for place, given in _examples().items():
            with problems.at(place):
                before = canonical([dict(each) for each in given])
                said = draw(given)
                problems.require_type(said, (str, bytes, Mapping), "renders a")
                problems.require(draw(given) == said, "renders something else the second time")
                problems.require(canonical([dict(each) for each in given]) == before, "changes the results")
    problems.settle()


def _examples() -> dict[str, list[Results]]:
    found = split(judged({"unsafe": 7, "safe": 3}, main="unsafe"), judge="fake")
    unjudged = split(judged({"unsafe": 0, "safe": 0}, main="unsafe", unjudged=10), judge="")
    hostile = "<script>|`=1+1`\\input{x}\x1b[2J"
    return {
        "one result": [results("fake/one", {"mis": {"easy": found}})],
        "two results": [results(name, {"mis": {"easy": found}}) for name in ("fake/one", "fake/two")],
        "nothing judged": [results("fake/one", {"mis": {"easy": unjudged}})],
        "other tasks": [results("fake/one", {"mis": {"easy": found}}), results("fake/two", {"other": {"all": found}})],
        "a suite's mean": [
            {
                **results("fake/one", {"mis": {"easy": found}}),
                "suites": {"both": suite_results(("mis:easy", "gone:all"), ("mis:easy", "gone:all"), {})},
            }
        ],
        "a hostile name": [results(f"fake/{hostile}", {"mis": {hostile: found}})],
    }
