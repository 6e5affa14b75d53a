"""What plugins do wrong in a run is told as theirs: splits that nobody can run, and models that cannot be closed."""

import io
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness import plugins
from harness.contracts import Judge, Model, ModelInfo, Provider, Rubric, Split, Task
from harness.errors import EndpointDown, HarnessError, PluginError
from harness.evaluation.options import Options
from harness.metrics import Metric, Record, rate
from harness.models import ModelSpec
from harness.progress.lines import LineProgress
from harness.runs.dry_run import dry_run
from harness.testing.conformance import NotConforming, check_task
from harness.testing.fakes import FakeModel, fake_judge, fake_sample, fake_task, host_of
from harness.types import Settings, Verdict
from tests.core.carried import Server, go, numbered

GOOD = fake_task(numbered(3))
ASR = rate("ASR", "unsafe", better="lower")


def task_of(splits: Any) -> Task:
    return replace(GOOD, splits=splits)


def split_of(**fields: Any) -> Split:
    assert isinstance(GOOD.splits, Mapping)
    return replace(GOOD.splits["all"], **fields)


def refused(folder: Path, task: Task) -> str:
    """How a run of the task is refused, and a dry run alike."""
    server = Server()
    with pytest.raises(PluginError) as caught:
        go(server, folder, task=task)
    assert server.asked == []
    assert not folder.joinpath("run.json").exists()
    with plugins.use(host_of(server.provider, task, fake_judge())), pytest.raises(PluginError) as dry:
        dry_run(Options(model=ModelSpec(ref="seen/x"), tasks=("fake",)))
    assert dry.value.what == caught.value.what
    told = "plugin fakes (fakes 1.0), splits of task 'fake': "
    assert caught.value.what.startswith(told)
    return caught.value.what.removeprefix(told)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"metrics": ASR}, "metrics is the Metric 'ASR' alone, not a tuple: add a comma after it"),
    ({"metrics": None}, "metrics is None, not a tuple of Metric"),
    ({"metrics": ()}, "it has no metrics"),
    ({"metrics": (ASR, 5)}, "metrics holds a int, not a Metric"),
    ({"metrics": (ASR, rate("ASR", "safe", better="higher"))}, "two metrics share a name: ['ASR', 'ASR']"),
    (
        {"metrics": (replace(ASR, main=True), replace(ASR, name="R", main=True))},
        "more than one metric is main: ['ASR', 'R']",
    ),
    ({"metrics": (replace(ASR, better="hihger"),)}, "metric 'ASR': better is 'hihger': did you mean 'higher'?"),
    ({"metrics": (replace(ASR, unit="percent"),)}, "metric 'ASR': unit is 'percent': known: %, 0-1"),
    ({"metrics": (replace(ASR, combine="al"),)}, "metric 'ASR': combine is 'al': did you mean 'all'?"),
    ({"metrics": (replace(ASR, harmonic=0),)}, "metric 'ASR': harmonic is 0, not a number of strata"),
    ({"metrics": (replace(ASR, score=None),)}, "metric 'ASR': score is None, not a function"),
    ({"metrics": (replace(ASR, labels="unsafe"),)}, "metric 'ASR': labels is 'unsafe', not a tuple of texts"),
    ({"blocked_as": "blocked"}, "blocked_as is 'blocked'"),
    ({"empty_as": None}, "empty_as is None"),
    ({"blocked_as": Verdict(label=None)}, "blocked_as has the label None"),  # type: ignore[arg-type]
    ({"judges": {"fake": None}}, "judges has None for 'fake', not a mapping of its labels; {} keeps them"),
    ({"judges": ["fake"]}, "judges is ['fake']"),
    ({"judges": {}}, "it accepts no rubric"),
    ({"judges": {"fake": {"safe": 5}}}, "judges translates labels of 'fake' that are not texts: {'safe': 5}"),
    ({"group": "safty"}, "group is 'safty': did you mean 'safety'?"),
    ({"fidelity": "upsteam"}, "fidelity is 'upsteam': did you mean 'upstream'?"),
    ({"labels": "unsafe"}, "labels is 'unsafe', not a tuple of texts"),
    ({"by": "category"}, "by is 'category', not a tuple of texts"),
    ({"parts": (5,)}, "parts is (5,), not a tuple of texts"),
    ({"n": "three"}, "n is 'three'"),
    ({"n": True}, "n is True"),
    ({"images": -1}, "images is negative"),
    ({"data": "here"}, "data is 'here'"),
    ({"paper": "Doe 2024"}, "its paper cannot be cited: it is a str, not a Paper"),
    ({"defaults": {"temperature": 0}}, "defaults is {'temperature': 0}"),
]


@pytest.mark.parametrize(("fields", "why"), WRONG, ids=[str(why)[:40] for _, why in WRONG])
def test_a_wrong_split_is_its_tasks_plugins_before_anything_is_asked(
    tmp_path: Path, fields: dict[str, Any], why: str
) -> None:
    task = task_of({"all": split_of(**fields)})
    assert f"split 'all': {why}" in refused(tmp_path, task)
    assert refused(tmp_path, task_of(lambda *_: task.splits)) == refused(tmp_path, task)
    with pytest.raises(NotConforming) as told:
        check_task(task, host=host_of(fake_judge()))
    assert f"split all: {why}" in str(told.value)


class Broken(Mapping[str, Split]):
    """Splits that raise when they are looked up or listed."""

    def __init__(self, *, lists: bool) -> None:
        self._lists = lists

    def __getitem__(self, name: str) -> Split:
        raise ValueError("no such thing")

    def __iter__(self) -> Iterator[str]:
        if not self._lists:
            raise SystemExit(3)
        return iter(("all",))

    def __len__(self) -> int:
        return 1


@pytest.mark.parametrize(
    ("splits", "why"),
    [
        ({"all": None}, "it returned split 'all': it is None, not a Split"),
        ({5: split_of()}, "it names a split 5, which is not a text"),
        (Broken(lists=True), "ValueError: no such thing"),
        (Broken(lists=False), "SystemExit: 3"),
    ],
)
def test_splits_that_are_none_are_told_as_their_tasks_plugins(tmp_path: Path, splits: Any, why: str) -> None:
    assert refused(tmp_path, task_of(splits)) == why


def test_a_list_of_tasks_shows_the_others_beside_one_whose_splits_are_wrong() -> None:
    from harness.cli.listing import task_facts

    host = host_of(task_of({"all": split_of(metrics=ASR)}))
    assert "metrics is the Metric 'ASR' alone" in task_facts(host.task("fake"))["splits"]


def metric_of(**functions: Any) -> Metric:
    return replace(ASR, name="odd", **functions)


def gives(value: object) -> Any:
    def function(_: Record) -> Any:
        return value

    return function


@pytest.mark.parametrize("given", [True, None, 0.5, ("a", "b"), (1.0,), (float("inf"), float("inf")), [1.0, 1.0]])
@pytest.mark.parametrize("progress", [False, True])
def test_a_metric_whose_score_is_no_share_is_its_tasks_plugins_and_the_answers_are_kept(
    tmp_path: Path, given: object, progress: bool
) -> None:
    run = scored(tmp_path, metric_of(score=gives(given)), progress=progress)
    assert run.startswith("fake could not be scored: plugin fakes (fakes 1.0) raised ValueError: metric odd gave "), (
        "the plugin is named"
    )
    assert f"({given!r},)" in run
    assert len((tmp_path / "fake" / "responses.jsonl").read_text("utf-8").splitlines()) == 3


@pytest.mark.parametrize("field", ["stratum", "group", "cluster"])
@pytest.mark.parametrize("given", [None, 5, ("a",)])
def test_a_metric_whose_key_is_no_text_is_its_tasks_plugins(tmp_path: Path, field: str, given: object) -> None:
    said = f"raised TypeError: metric odd gave {given!r} as the {field} of "
    assert said in scored(tmp_path, metric_of(**{field: gives(given)}))


def test_a_metric_that_closes_what_calls_it_is_its_tasks_plugins(tmp_path: Path) -> None:
    def score(_: Record) -> Any:
        raise GeneratorExit

    assert "raised GeneratorExit" in scored(tmp_path, metric_of(score=score))


def scored(folder: Path, metric: Metric, *, progress: bool = False) -> str:
    """What a run with such a main metric says first of its results, which hold nothing of the task."""
    shown = LineProgress(io.StringIO()) if progress else None
    run = go(Server(), folder, task=fake_task(numbered(3), metrics=(metric, ASR)), progress=shown)
    assert (run.exit_code, run.results["tasks"]) == (3, {})
    return run.notes[0]


FAULTS = [ValueError("still busy"), SystemExit(3), HarnessError("the server goes on"), OSError(28, "No space left")]


class Unclosable(Server):
    """A provider whose models raise when they are closed."""

    def __init__(self, fault: BaseException) -> None:
        super().__init__()
        self._fault = fault

    @asynccontextmanager
    async def _open(self, _name: str, _settings: Settings) -> AsyncGenerator[Model]:
        yield self
        raise self._fault


def closing_note(scheme: str, fault: BaseException) -> str:
    return f"plugin fakes (fakes 1.0), closing of provider {scheme!r}: {type(fault).__name__}: {fault}"


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
def test_a_run_whose_model_cannot_be_closed_has_its_results_and_a_note(tmp_path: Path, fault: BaseException) -> None:
    run = go(Unclosable(fault), tmp_path)
    assert (tmp_path / "results.json").exists()
    assert run.exit_code == 0
    assert [note for note in run.notes if note.startswith(closing_note("seen", fault))]
    log = (tmp_path / "log.txt").read_text("utf-8")
    assert closing_note("seen", fault) in log
    assert "Traceback" in log


def test_a_run_whose_judges_model_cannot_be_closed_has_its_results_and_a_note(tmp_path: Path) -> None:
    fault = ValueError("still busy")

    @asynccontextmanager
    async def opened(*_: object) -> AsyncGenerator[Model]:
        yield FakeModel("yes", ModelInfo(ref="heard/x", endpoint="heard"))
        raise fault

    rubric = Rubric(
        identity={}, labels=("safe",), ask=lambda *_: [fake_sample().request], read=lambda *_: Verdict(label="safe")
    )
    judge = Judge(name="asks", version="1", description="", open=lambda *_: rubric, needs=frozenset())
    heard = Provider(scheme="heard", description="", open=opened)
    task = fake_task(numbered(3), judges={"asks": {}})
    run = go(Server(), tmp_path, judge, heard, task=task, judges=("heard/x",))
    assert run.exit_code == 0
    assert [note for note in run.notes if note.startswith(closing_note("heard", fault))]


def test_what_ended_a_run_is_not_hidden_by_a_model_that_cannot_be_closed_then(tmp_path: Path) -> None:
    class Down(Unclosable):
        async def generate(self, request: Any) -> Any:
            raise EndpointDown("nobody is there")

        @asynccontextmanager
        async def _open(self, _name: str, _settings: Settings) -> AsyncGenerator[Model]:
            try:
                yield self
            finally:
                raise self._fault

    with pytest.raises(EndpointDown, match="nobody is there"):
        go(Down(ValueError("still busy")), tmp_path)
    assert closing_note("seen", ValueError("still busy")) in (tmp_path / "log.txt").read_text("utf-8")
