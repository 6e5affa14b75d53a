"""run.json as values: what is written is read back alike, what is missing is refused, what is unknown is kept."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from harness import plugins
from harness.errors import HarnessError
from harness.evaluation.options import JudgeOptions, Options
from harness.metrics import MIN_COVERAGE
from harness.models import ModelSpec
from harness.runs.run import Run, judge_async, run_async
from harness.store import RunFolder
from harness.store.run_file import RunFile
from harness.testing.fakes import fake_judge, fake_provider, fake_task, host_of
from harness.types import Failure

FAULT = Failure(outcome="error", reason="http_400")
RAN = {
    "schema": "harness.run/1",
    "started": "2026-01-01T00:00:00+00:00",
    "model": {"ref": "a/b", "resolved": "b", "settings": {}, "strategy": None, "notes": []},
    "identity": {"scheme": "a", "overrides": {"generation": {}, "system": ""}},
    "identity_digest": "k1:00",
    "overrides": {"generation": {"temperature": 1.0}, "system": ""},
    "plugins": {"one": "one 1.0"},
    "environment": {"python": "3.12"},
    "judges": {"fake-1": {"rubric": "fake"}},
    "tasks": {
        "fake+x=1": {
            "task": "fake",
            "version": "1",
            "settings": {"x": 1},
            "data": {"root": "/d/fake", "folder": "/d", "source": "", "revision": "", "licence": ""},
            "splits": {
                "all": {
                    "judge": "fake-1",
                    "packaged": False,
                    "generation": {"temperature": None},
                    "epochs": 2,
                    "limit": None,
                    "content": "0f",
                    "found": 3,
                    "min_coverage": 0.5,
                }
            },
        }
    },
    "probe": {"answer": "red"},
    "history": [
        {
            "started": "2026-01-01T00:00:00+00:00",
            "finished": "2026-01-01T00:00:01+00:00",
            "seconds": 1.0,
            "command": ["harness", "run"],
            "tasks": ["fake+x=1:all"],
            "end": "done",
            "reason": "",
        }
    ],
}
SPLIT = ("tasks", "fake+x=1", "splits", "all")


def changed(change: Callable[[Any], object], *path: str) -> dict[str, Any]:
    raw = json.loads(json.dumps(RAN))
    place = raw
    for name in path:
        place = place[name]
    change(place)
    return dict(raw)


def test_what_was_read_is_written_as_it_was() -> None:
    assert json.dumps(RunFile.from_json(RAN).as_json()) == json.dumps(RAN)


def test_what_no_judge_has_seen_and_no_probe_has_asked_is_left_out() -> None:
    raw = changed(lambda it: it.pop("judge"), *SPLIT)
    del raw["probe"]
    assert RunFile.from_json(raw).as_json() == raw


@pytest.mark.parametrize("path", [(), ("model",), SPLIT, ("tasks", "fake+x=1", "data")])
def test_a_key_of_a_later_version_stays(path: tuple[str, ...]) -> None:
    raw = changed(lambda it: it.update(later=[1]), *path)
    assert RunFile.from_json(raw).as_json() == raw


def test_a_file_from_before_the_minimum_was_kept_has_the_usual_one() -> None:
    raw = changed(lambda it: it.pop("min_coverage"), *SPLIT)
    assert RunFile.from_json(raw).tasks["fake+x=1"].splits["all"].min_coverage == MIN_COVERAGE


@pytest.mark.parametrize(
    ("raw", "what"),
    [
        (changed(lambda it: it.pop("epochs"), *SPLIT), "a split has no 'epochs'"),
        (changed(lambda it: it.pop("identity_digest")), "it has no 'identity_digest'"),
        (changed(lambda it: it.update(model=None)), "the model is no object"),
        (changed(lambda it: it.update(schema="harness.run/2")), "schema 'harness.run/2'"),
        ([1], "not a JSON object"),
    ],
)
def test_a_file_that_is_no_runs_is_named_with_what_it_lacks(raw: object, what: str, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps(raw))
    with pytest.raises(HarnessError, match=what) as caught:
        _ = RunFolder(tmp_path).run
    assert caught.value.where == str(tmp_path / "run.json")


def test_an_empty_folder_holds_no_run(tmp_path: Path) -> None:
    assert RunFolder(tmp_path).run is None


def half_answered(folder: Path, *tasks: str, **fields: Any) -> Run:
    options = Options(model=ModelSpec(ref="half/x"), tasks=tasks, output=folder, probe=False, **fields)
    return anyio.run(partial(run_async, options))


def judged(folder: Path, **fields: Any) -> Run:
    return anyio.run(partial(judge_async, folder, JudgeOptions(probe=False, **fields)))


def complete(run: Run, task: str = "one") -> bool:
    return bool(run.results["tasks"][task]["splits"]["all"]["complete"])


def test_judging_uses_the_minimum_of_coverage_that_each_split_was_run_with(tmp_path: Path) -> None:
    model = fake_provider(["no", FAULT] * 4, scheme="half")
    every = [fake_task({"a": "a", "b": "b"}, name=name) for name in ("one", "two")]
    with plugins.use(host_of(model, *every, fake_judge())):
        assert half_answered(tmp_path, "one", min_coverage=0.5).exit_code == 0
        assert half_answered(tmp_path, "two").exit_code == 3
        again = judged(tmp_path)
        assert (again.exit_code, complete(again), complete(again, "two")) == (3, True, False)
        lenient = judged(tmp_path, min_coverage=0.5)
        assert (lenient.exit_code, complete(lenient, "two")) == (0, True)
        strict = judged(tmp_path, min_coverage=1.0)
        assert (strict.exit_code, complete(strict)) == (3, False)


def test_a_minimum_of_coverage_that_is_no_share_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="--min-coverage must be between 0 and 1"):
        judged(tmp_path, min_coverage=98)
