"""A check for each contract: what the core relies on, so that a plugin which passes works.

    def test_my_task_keeps_its_contract():
        check_task(TASK)

Each check raises NotConforming, an AssertionError, with everything that is wrong.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import anyio

from harness.contracts import Answered, Judge, Report, Results, Rubric, SampleLinks, Strategy
from harness.dialogues import imagine_answer, join_replies, map_images
from harness.errors import HarnessError
from harness.images import open_image
from harness.keys import canonical, request_to_json
from harness.makers import Build, Builder, Built, Trainer, Training
from harness.plugins.shapes import describe_wrong_calls
from harness.rubric.templates import strip_markers
from harness.settings import effective
from harness.stats.suites import suite_results
from harness.types import Failure, ModelInfo, Request, Response, Sample, Settings, Unscored, Verdict

from .attack_checks import check_attack
from .fakes import FakeModel, fake_sample
from .model_checks import check_painter, check_provider
from .problems import NotConforming, Problems, check_described
from .results import judged, results, split
from .task_checks import check_suite, check_task

__all__ = [
    "NotConforming",
    "check_attack",
    "check_builder",
    "check_judge",
    "check_painter",
    "check_provider",
    "check_report",
    "check_strategy",
    "check_suite",
    "check_task",
    "check_trainer",
]

ANSWERS = ("", " ", "No.", "yes " * 5000, '{"label": "safe"}', "\x00\x1b[2J\u202e\ud800", "{{ 7 * 7 }} {% raw %}")
REPLIES = ("", "I would rather not say.", "{}", "[]", "null", '{"label": "no such label"}', "```json\n{\n```", "\ud800")
ROUND_LIMIT = 4
TIMES = 5  #: that one input is judged: a coin gives one side five times only once in sixteen
RECORD = "training.json"  #: says what a trained model was made from
KEYS = ("tuned_from", "trained_on")  #: of it, which every report reads


def check_judge(
    judge: Judge,
    samples: Iterable[Sample] = (),
    *,
    settings: Mapping[str, Any] | None = None,
    root: Path | None = None,
    replies: Sequence[str | Sequence[str]] = (),
    may_decline: bool = False,
) -> None:
    """Check that a judge keeps its contract, for answers and replies of every odd shape.

    Args:
        judge: the descriptor.
        samples: of tasks that accept it; without any it is a question with two images.
        settings: of the judge, by name.
        root: its data root, DIR/<name>.
        replies: of a judge's model, each of which must give a verdict; several in one where the judge asks again.
        may_decline: a rule may give no verdict on an answer that it does not know.
    """
    problems = Problems(f"judge {judge.name!r}")
    check_described(problems, judge.version, judge.description, judge.settings, judge.paper)
    values: Settings = effective(judge.settings, settings or {}, owner=f"judge {judge.name}")
    if judge.normalize is not None:
        with problems.at("normalize"):
            values = judge.normalize(values)
            problems.require(judge.normalize(values) == values, "settings in their one form have another form")
            problems.require(
                set(values) == {setting.name for setting in judge.settings}, "settings are lost or made up"
            )
    with problems.at("open"):
        rubric = judge.open(values, root or Path(judge.name))
        problems.require(rubric.labels, "the rubric has no labels")
        problems.require(len(set(rubric.labels)) == len(rubric.labels), "two labels are the same")
        problems.require(rubric.sees, "the rubric does not say what it sees")
        canonical(dict(rubric.identity))
        again = judge.open(effective(judge.settings, {}, owner="again"), Path(judge.name))
        problems.require(again.labels == rubric.labels, "a second opening has other labels")
        given = list(samples)[:20] or [fake_sample(images=2)]
        if rubric.scope == "split":
            _check_scorer(problems, rubric, given)
        for sample, answer in product(given, ANSWERS) if rubric.scope == "sample" else ():
            with problems.at(f"sample {sample.id}, answer {answer[:20]!r}"):
                given_answer = imagine_answer(sample, answer)
                opened = join_replies(map_images(sample, open_image), given_answer)
                _check_answer(problems, judge, rubric, opened, given_answer, replies, may_decline=may_decline)
    problems.raise_found()


def _check_answer(
    problems: Problems,
    judge: Judge,
    rubric: Rubric,
    sample: Sample,
    response: Response,
    good: Sequence[str | Sequence[str]],
    *,
    may_decline: bool,
) -> None:
    asked = [rubric.ask(sample, response) for _ in range(TIMES)]
    requests = asked[0]
    for each in asked:
        problems.require_type(each, list, "ask gives a")
    for request in requests:
        problems.require_type(request, Request, "ask gives a list with a")
    questions = {canonical([request_to_json(strip_markers(request)) for request in each]) for each in asked}
    problems.require(len(questions) == 1, "asks something else for the same answer")
    if judge.needs is None:
        problems.require(not requests, "needs no model, but asks one")
        _check_reading(problems, rubric, sample, response, (), must_decide=not may_decline)
        return
    problems.require(requests, "needs a model, but asks nothing")
    for reply in REPLIES:
        _check_reading(problems, rubric, sample, response, (reply,), must_decide=False)
    for good_reply in good:
        rounds = (good_reply,) if isinstance(good_reply, str) else tuple(good_reply)
        _check_reading(problems, rubric, sample, response, rounds, must_decide=True)


def _check_reading(
    problems: Problems, rubric: Rubric, sample: Sample, response: Response, replies: Sequence[str], *, must_decide: bool
) -> None:
    decided: list[Verdict | Unscored | list[Request]] = []
    for _ in range(TIMES):
        said: Verdict | Unscored | list[Request] = []
        for rounds in range(1, ROUND_LIMIT + 1):  # the last reply is repeated in later rounds
            heard = [Response(text=replies[min(n, len(replies) - 1)]) for n in range(rounds if replies else 0)]
            said = rubric.read(sample, response, heard)
            if not isinstance(said, list):
                break
        decided.append(said)
    first = decided[0]
    if isinstance(first, list):
        problems.add(f"still asks after {ROUND_LIMIT} rounds")
        return
    names = [each.label if isinstance(each, Verdict) else getattr(each, "state", "a question") for each in decided]
    several = ", ".join(dict.fromkeys(names))
    problems.require(all(each == first for each in decided), f"gives another decision on the same: {several}")
    problems.require_type(first, (Verdict, Unscored), "read gives a")
    if isinstance(first, Verdict):
        problems.require(first.label in rubric.labels, f"gives the label {first.label!r}, which it does not declare")
    elif must_decide:
        problems.add(f"gives no verdict on the reply {list(replies)}" if replies else "a rule gives no verdict")


def _check_scorer(problems: Problems, rubric: Rubric, samples: Sequence[Sample]) -> None:
    """Score odd answers: each item may get one decision, and only items that were given.

    A HarnessError says that it cannot run here (another harness is not installed), and is not a breach.
    """
    answers = [answer for answer in ANSWERS if answer.strip()]
    rows = [
        Answered(item=f"{number}/{sample.id}", sample=sample, response=Response(text=answers[number % len(answers)]))
        for number, sample in enumerate(samples)
    ]

    async def refuse(_item: str, _request: Request) -> Response | Unscored:
        return Unscored(state="judge_refused", message="I would rather not say.")

    async def score(folder: Path) -> None:
        assert rubric.score is not None
        left = {row.item for row in rows}
        async for item, decision in rubric.score(rows, folder, refuse):
            problems.require(item in left, f"decides on {item!r}, which was not given or has a decision already")
            left.discard(item)
            problems.require_type(decision, (Verdict, Unscored), "score gives a")
            if isinstance(decision, Verdict):
                known = decision.label in rubric.labels
                problems.require(known, f"gives the label {decision.label!r}, which it does not declare")

    with problems.at("score"), TemporaryDirectory() as folder, suppress(HarnessError):
        anyio.run(score, Path(folder))


def check_strategy(strategy: Strategy, *, settings: Mapping[str, Any] | None = None, may_decline: bool = False) -> None:
    """Check that a strategy keeps its contract: it wraps a model, and failures pass through it.

    `may_decline` is for one that needs a setting which is not given, and then raises HarnessError.
    """
    problems = Problems(f"strategy {strategy.name!r}")
    check_described(problems, strategy.version, strategy.description, strategy.settings)
    values = effective(strategy.settings, settings or {}, owner=f"strategy {strategy.name}")
    failure = Failure(outcome="input_blocked", reason="content_filter")
    for said in ("an answer", failure):
        with problems.at(f"around a model that gives {said if isinstance(said, str) else 'a Failure'}"):
            able = ModelInfo(ref="fake/model", endpoint="fake", can=strategy.needs | ModelInfo(ref="", endpoint="").can)
            inner = FakeModel([said], able)
            try:
                model = strategy.wrap(inner, values)
            except HarnessError:
                if may_decline:
                    continue
                raise
            problems.require(model.info.ref == inner.info.ref, "the model's ref changes")
            problems.require(model.info.endpoint == inner.info.endpoint, "the endpoint changes: slots are shared by it")
            given = anyio.run(model.generate, fake_sample().request)
            problems.require_type(given, (Response, Failure), "answers with a")
            problems.require(inner.asked, "the model was never asked")
            if said is failure:
                problems.require(isinstance(given, Failure), "turns a Failure into an answer")
    if strategy.facts is not None:
        with problems.at("facts"):
            try:
                problems.require_type(strategy.facts(values), Mapping, "gives a")
            except HarnessError:
                if not may_decline:
                    raise
    if strategy.check is not None:
        with problems.at("check"):
            for sample in (fake_sample(), fake_sample(images=2)):
                problems.require_type(strategy.check(sample.request, values), str, "gives a")
    if strategy.calls is not None:
        with problems.at("calls"):
            for sample in (fake_sample(), fake_sample(images=2)):
                if why := describe_wrong_calls(strategy.calls(sample.request, values)):
                    problems.add(why)
    problems.raise_found()


def check_report(report: Report) -> None:
    """Check that a report keeps its contract: text or files, the same each time, whatever the results hold."""
    from harness.board.matrix import build_matrix

    problems = Problems(f"report {report.name!r}")
    check_described(problems, "none needed", report.description, ())
    problems.require(not report.suffix or report.suffix.startswith("."), "the suffix has no dot")
    found = split(judged({"unsafe": 7, "safe": 3}, main="unsafe"), judge="fake")
    unjudged = split(judged({"unsafe": 0, "safe": 0}, main="unsafe", unjudged=10), judge="")
    one = results("fake/one", {"mis": {"easy": found}})
    mean = {"suites": {"both": suite_results(("mis:easy", "gone:all"), ("mis:easy", "gone:all"), {})}}
    hostile = "<script>|`=1+1`\\input{x}\x1b[2J"
    examples: dict[str, list[Results]] = {
        "one result": [one],
        "two results": [one, results("fake/two", {"mis": {"easy": found}})],
        "nothing judged": [results("fake/one", {"mis": {"easy": unjudged}})],
        "other tasks": [one, results("fake/two", {"other": {"all": found}})],
        "a suite's mean": [{**one, **mean}],
        "a hostile name": [results(f"fake/{hostile}", {"mis": {hostile: found}})],
    }
    for draw in [each for each in (report.render, report.figures) if each is not None]:
        for place, given in examples.items():
            with problems.at(place):
                before = canonical([dict(each) for each in given])
                said = draw(given)
                problems.require_type(said, (str, bytes, Mapping), "renders a")
                problems.require(draw(given) == said, "renders something else the second time")
                problems.require(canonical([dict(each) for each in given]) == before, "changes the results")
    if report.matrix is not None:
        for place, given in examples.items():
            with problems.at(f"matrix of {place}"):
                table = build_matrix(given, allow_mismatch=True)
                said = report.matrix(table)
                problems.require_type(said, (str, bytes, Mapping), "renders a")
                problems.require(report.matrix(table) == said, "renders something else the second time")
    if report.linked is not None:
        for place, given in examples.items():
            with problems.at(f"linked of {place}"):
                links = SampleLinks(viewer="index.html", runs=[(f"{hostile} {n}",) for n, _ in enumerate(given)])
                said = report.linked(given, links)
                problems.require_type(said, (str,), "renders a")
                problems.require(report.linked(given, links) == said, "renders something else the second time")
    problems.raise_found()


def check_builder(builder: Builder, config: Path | None = None, *, settings: Mapping[str, Any] | None = None) -> None:
    """Check that a builder keeps its contract; with a config it plans a build, and then builds twice.

    Args:
        builder: the descriptor.
        config: one that it can build from here and now, at once; None checks only that a missing one is an error.
        settings: of the builder, by name.
    """
    problems = Problems(f"builder {builder.name!r}")
    check_described(problems, "none needed", builder.description, builder.settings)
    values = effective(builder.settings, settings or {}, owner=f"builder {builder.name}")
    with TemporaryDirectory(prefix="harness-builder-") as scratch:
        gone = Build(config=Path(scratch, "none.yaml"), out=Path(scratch, "a"), settings=values)
        for name in ("plan", "build"):
            with problems.at(f"{name} without a config"):
                try:
                    anyio.run(_build, problems, builder, gone) if name == "build" else builder.plan(gone)
                    problems.add("raises no HarnessError")
                except HarnessError:
                    pass
        problems.require(not gone.out.exists(), "writes its folder before it has read its config")
        if config is not None:
            with problems.at(f"config {config.name}"):
                _check_built(problems, builder, Build(config=config, out=Path(scratch, "b"), settings=values))
    problems.raise_found()


def _check_built(problems: Problems, builder: Builder, build: Build) -> None:
    _check_plan(problems, builder.plan(build), build.out)
    first = anyio.run(_build, problems, builder, build)
    again = anyio.run(_build, problems, builder, build)
    for built in (first, again):
        problems.require_type(built, Built, "gives a")
    if isinstance(first, Built) and isinstance(again, Built):
        problems.require(first.folder.is_dir(), "its folder is not there")
        problems.require(all(count >= 0 for count in first.records.values()), "a file holds less than no record")
        problems.require(first.records == again.records, "the same build again gives other numbers of records")


def _check_plan(problems: Problems, plan: object, out: Path) -> None:
    problems.require_type(plan, str, "plan gives a")
    problems.require(str(plan).strip(), "plan says nothing")
    problems.require(not out.exists(), "plan writes")


async def _build(problems: Problems, builder: Builder, build: Build) -> object:
    given = cast("object", builder.build(build))
    if isinstance(given, Awaitable):
        return cast("object", await given)
    problems.add(f"build gives a {type(given).__name__} that cannot be awaited")
    return given


def check_trainer(
    trainer: Trainer, training: Training | None = None, *, settings: Mapping[str, Any] | None = None, train: bool = True
) -> None:
    """Check that a trainer keeps its contract; with a training it plans it, and then trains.

    Args:
        trainer: the descriptor.
        training: one that it can carry out here and now; None checks only that missing data are an error.
        settings: of the trainer, by name; those of the training are given with it.
        train: whether to train; False asks for the plan alone.
    """
    problems = Problems(f"trainer {trainer.name!r}")
    check_described(problems, "none needed", trainer.description, trainer.settings)
    values = effective(trainer.settings, settings or {}, owner=f"trainer {trainer.name}")
    with TemporaryDirectory(prefix="harness-trainer-") as scratch:
        data = {"": Path(scratch, "no-data")}
        gone = Training(model=str(Path(scratch, "no-model")), data=data, out=Path(scratch, "out"), settings=values)
        for name, call in (("plan", trainer.plan), ("train", trainer.train)):
            with problems.at(f"{name} without a model and data"):
                try:
                    call(gone)
                    # A plan may say in words what is missing; a training has to end.
                    problems.require(name == "plan", "raises no HarnessError")
                except HarnessError:
                    pass
                problems.require(not gone.out.exists(), "writes its folder before it has found its model and data")
        if training is not None:
            with problems.at(f"training {training.model}"):
                _check_training(problems, trainer, training, train=train)
    problems.raise_found()


def _check_training(problems: Problems, trainer: Trainer, training: Training, *, train: bool) -> None:
    _check_plan(problems, trainer.plan(training), training.out)
    if trainer.facts is not None:
        facts = trainer.facts(training)
        json.dumps(facts, allow_nan=False)
        refusals: object = facts.get("refusals")
        problems.require_type(refusals, list, "the refusals of facts are a")
    if not train:
        return
    folder = cast("object", trainer.train(training))
    problems.require_type(folder, Path, "train gives a")
    if not isinstance(folder, Path):
        return
    problems.require(folder.is_dir(), f"{folder.name} is not a folder")
    record = folder / RECORD
    problems.require(record.is_file(), f"{folder.name} has no {RECORD}")
    if record.is_file():
        record_keys = json.loads(record.read_text(encoding="utf-8"))
        missing = [key for key in KEYS if key not in record_keys]
        problems.require(not missing, f"{RECORD} does not say {', '.join(missing)}")
