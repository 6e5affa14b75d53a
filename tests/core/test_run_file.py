"""run.json: values written and read back, and what a run notes of itself there, in its notes and its exit code."""

from __future__ import annotations

import glob
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from harness import plugins
from harness.contracts import Judge, Model, ModelInfo, Provider, Rubric, Task
from harness.errors import HarnessError, IdentityMismatch
from harness.evaluation.options import JudgeOptions, Options
from harness.metrics import MIN_COVERAGE
from harness.models import ModelSpec
from harness.runs.run import Run, judge_async, run_async
from harness.store import RunFolder
from harness.store.run_file import RunFile
from harness.testing.fakes import FakeModel, Script, fake_judge, fake_provider, fake_sample, fake_task, host_of
from harness.types import Failure, Request, Response, Setting, Settings, Verdict

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


def test_what_was_read_is_written_as_it_was_without_judge_and_probe_too() -> None:
    assert json.dumps(RunFile.from_json(RAN).as_json()) == json.dumps(RAN)
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
        (changed(lambda it: it.update(model=None)), "the model is not an object"),
        (changed(lambda it: it.update(history=None)), "'history' is not a list"),
        (changed(lambda it: it["model"].update(notes=1)), "'notes' of the model is not a list"),
        (changed(lambda it: it.update(schema="harness.run/2")), "schema 'harness.run/2'"),
        ([1], "not a JSON object"),
    ],
)
def test_a_file_that_is_no_runs_is_named_with_what_it_lacks(raw: object, what: str, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps(raw))
    with pytest.raises(HarnessError, match=what) as caught:
        _ = RunFolder(tmp_path).run
    assert RunFolder(tmp_path / "empty").run is None
    assert caught.value.where == str(tmp_path / "run.json")


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


SETTINGS = (Setting(name="detail", type=str, default="low", identity=True),)
TASK = fake_task({f"q{n}": f"question {n}" for n in range(10)})


def saying(script: Script = "no", **info: Any) -> FakeModel:
    """The evaluated model."""
    return FakeModel(script, ModelInfo(**{"ref": "seen/x", "endpoint": "seen", **info}))


def provider(model: FakeModel, scheme: str = "seen") -> Provider:
    @asynccontextmanager
    async def opened(_name: str, _settings: Settings) -> AsyncGenerator[Model]:
        yield model

    return Provider(scheme=scheme, description="", open=opened, settings=SETTINGS)


def go(
    folder: Path, *extra: Any, model: FakeModel | None = None, task: Task = TASK, **fields: Any
) -> tuple[Run, FakeModel]:
    model = model or saying()
    spec = ModelSpec(ref="seen/x", settings=fields.pop("settings", {}))
    defaults: dict[str, Any] = {"tasks": ("fake",), "output": folder, "probe": False}
    with plugins.use(host_of(provider(model), task, fake_judge(), *extra)):
        return anyio.run(partial(run_async, Options(model=spec, **defaults | fields))), model


def split(run: Run) -> dict[str, Any]:
    return dict(run.results["tasks"]["fake"]["splits"]["all"])


def stored(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "run.json").read_text()))


def content(run: Run) -> str:
    return str(run.results["tasks"]["fake"]["data"]["sha256"])


def test_raising_the_limit_extends_and_asks_only_what_is_new(tmp_path: Path) -> None:
    few, _ = go(tmp_path, limit=3)
    more, model = go(tmp_path, limit=7)
    whole, rest = go(tmp_path)
    assert (len(model.asked), len(rest.asked)) == (4, 3)
    assert [split(each)["subset"] for each in (few, more, whole)] == [{"limit": 3}, {"limit": 7}, None]
    assert [split(each)["n"] for each in (few, more, whole)] == [3, 7, 10]
    assert len({content(each) for each in (few, more, whole)}) == 3


@pytest.mark.parametrize("before", [None, 7])
def test_a_lower_limit_shrinks_nothing_and_is_not_what_the_result_says(before: int | None, tmp_path: Path) -> None:
    first, _ = go(tmp_path, limit=before)
    again, model = go(tmp_path, limit=2)
    assert model.asked == []
    assert split(again) == split(first), "n, subset and epochs are those of the listing that stands"
    assert content(again) == content(first)


def test_a_lower_limit_with_other_epochs_is_refused_since_it_would_mix_them(tmp_path: Path) -> None:
    go(tmp_path, limit=5)
    with pytest.raises(HarnessError, match="with --epochs 1 and a higher --limit") as caught:
        go(tmp_path, limit=2, epochs=3)
    assert "--epochs 1" in caught.value.remedy
    run, _ = go(tmp_path, limit=5, epochs=3)
    assert split(run)["records"] == 15


@pytest.mark.parametrize("inside", [False, True], ids=["beside the folder", "inside the folder"])
def test_fresh_puts_the_old_run_aside_where_no_pattern_finds_it(
    inside: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "runs" / "one"
    go(folder, limit=5)
    if inside:
        monkeypatch.chdir(folder)
    run, model = go(Path() if inside else folder, limit=2, fresh=True)
    assert (split(run)["n"], len(model.asked)) == (2, 2)
    assert glob.glob(str(folder.parent / "*")) == [str(folder)]  # noqa: PTH207 - as a shell matches
    (aside,) = folder.parent.glob(".one.*")
    assert (aside / "results.json").exists()
    assert any(aside.name in note for note in run.notes)


def test_fresh_leaves_the_old_run_in_place_until_the_new_model_has_answered(tmp_path: Path) -> None:
    go(tmp_path / "one")
    with pytest.raises(HarnessError, match="does not answer"):
        go(tmp_path / "one", model=saying(Failure(outcome="error", reason="http_400")), fresh=True, probe=True)
    assert (tmp_path / "one" / "results.json").exists()


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"settings": {"detail": "high"}}, 'settings.detail was "low" and is "high"'),
        ({"generation": {"temperature": 1.0}}, "overrides.generation.temperature was null and is 1.0"),
        ({"system": "Be brief."}, "overrides.system"),
    ],
)
def test_a_folder_of_another_identity_is_refused_before_the_model_is_asked(
    fields: dict[str, Any], what: str, tmp_path: Path
) -> None:
    go(tmp_path)
    before = stored(tmp_path)
    model = saying()
    with pytest.raises(IdentityMismatch, match=what):
        go(tmp_path, model=model, probe=True, **fields)
    assert model.asked == []
    assert stored(tmp_path) == before, "another run's history is not ours to write"


class Refusing(FakeModel):
    """Refuses a temperature at the first call, as a provider finds out."""

    def __init__(self) -> None:
        super().__init__("no", ModelInfo(ref="seen/x", endpoint="seen"))

    async def generate(self, request: Request) -> Response | Failure:
        self.info = replace(self.info, dropped=frozenset({"temperature"}))
        return await super().generate(request)


def test_a_parameter_that_the_model_refuses_is_null_in_the_results_and_said(tmp_path: Path) -> None:
    run, _ = go(tmp_path, model=Refusing())
    assert split(run)["settings"]["temperature"] is None
    assert split(run)["settings"]["max_tokens"] == 1024
    assert any("provider sampling: the model refuses temperature" in note for note in run.notes)
    again, silent = go(tmp_path)
    assert silent.asked == []
    assert split(again)["settings"]["temperature"] is None, "nothing was asked, so nothing was heard of it"


def named(*names: str) -> Callable[[Request], Response]:
    waiting = list(names)
    return lambda _: Response(text="no", model=waiting.pop(0) if len(waiting) > 1 else waiting[0])


def test_several_reported_names_of_one_model_are_told(tmp_path: Path) -> None:
    run, _ = go(tmp_path, model=saying(named("x-1", "x-2")))
    assert run.results["model"]["resolved"] == ["x-1", "x-2"]
    assert "seen/x answered under several names: x-1, x-2" in run.notes
    one, _ = go(tmp_path / "one", model=saying(named("x-1")))
    assert one.notes == ()


def judging(*names: str, **info: Any) -> tuple[Judge, Provider]:
    """A rubric that asks a model, and the provider of that model, which reports these names."""
    safe = Verdict(label="safe")
    rubric = Rubric(identity={}, labels=("safe",), ask=lambda sample, _: [sample.request], read=lambda *_: safe)
    judge = Judge(name="tone", version="1", description="", open=lambda _s, _d: rubric, needs=frozenset())
    return judge, provider(saying(named(*names), ref="told/j", endpoint="told", **info), "told")


@pytest.mark.parametrize(
    ("names", "info", "said"),
    [
        (("j-2026-01-01",), {}, "judge told/j is now an alias of j-2026-01-01"),
        (("j",), {}, ""),
        (("folder",), {"local": True}, ""),
        (("",), {}, ""),
        (("j-1", "j-2"), {}, "answered under several names: j-1, j-2"),
    ],
)
def test_a_judge_behind_an_alias_or_under_several_names_is_told(
    names: tuple[str, ...], info: dict[str, Any], said: str, tmp_path: Path
) -> None:
    task = fake_task({"a": "a", "b": "b"}, judges={"tone": {}})
    run, _ = go(tmp_path, *judging(*names, **info), task=task, judges=("told/j",))
    (card,) = run.results["judges"].values()
    assert card["resolved"] == [name for name in names if name]
    assert said in " ".join(run.notes)
    assert bool(run.notes) == bool(said)


def test_another_number_of_samples_than_published_is_told_and_does_no_harm(tmp_path: Path) -> None:
    run, _ = go(tmp_path, task=fake_task({"a": "a"}, n=3))
    assert run.exit_code == 0
    assert run.notes == ("fake:all holds 1 sample, 3 are published: is the copy whole?",)


def test_below_the_minimum_of_coverage_a_run_is_done_but_incomplete(tmp_path: Path) -> None:
    script = ["no", Failure(outcome="error", reason="http_400"), "no"]
    run, _ = go(tmp_path, model=saying(script))
    assert (run.exit_code, split(run)["complete"]) == (3, False)
    assert any("fake:all is incomplete" in note for note in run.notes)
    lenient, _ = go(tmp_path / "lenient", model=saying(script), min_coverage=0.5)
    assert (lenient.exit_code, split(lenient)["complete"]) == (0, True)


def why_incomplete(run: Run) -> str:
    [note] = [note for note in run.notes if "is incomplete" in note]
    return note


def test_the_reason_that_most_of_the_missing_have_is_told_with_their_number(tmp_path: Path) -> None:
    failed = [Failure(outcome="error", reason=reason) for reason in ("http_500", "timeout", "timeout")]
    run, _ = go(tmp_path / "answers", model=saying([*failed, "no"]))
    assert ", error 3 (timeout); run it again" in why_incomplete(run)
    judge, _ = judging("j")
    failing = saying([Failure(outcome="error", reason="context_length", message="too long")], ref="told/j")
    task = fake_task({"a": "a", "b": "b"}, judges={"tone": {}})
    run, _ = go(tmp_path / "verdicts", judge, provider(failing, "told"), task=task, judges=("told/j",))
    assert ", judge_error 2 (context_length); asking again cannot help where a text is too long" in why_incomplete(run)


def test_answers_cut_off_before_any_text_are_counted_and_another_run_is_no_remedy_for_them(tmp_path: Path) -> None:
    spent = Response(text="", flags=frozenset({"truncated"}))
    run, _ = go(tmp_path, model=saying([spent, Failure(outcome="error", reason="http_400"), spent, "no"]))
    failed = ", error 1 (http_400), cut off before any text 2; run it again; a larger --max-tokens"
    assert failed in why_incomplete(run)
    run, _ = go(tmp_path / "spent", model=saying([spent, "no"]))
    note = why_incomplete(run)
    assert ", cut off before any text 1; a larger --max-tokens, in another folder" in note
    assert "run it again" not in note


def test_each_invocation_is_noted_with_its_command_and_its_end(tmp_path: Path) -> None:
    go(tmp_path, limit=2, command=("harness", "run", "first"))
    go(tmp_path, command=("harness", "run", "second"))
    history = stored(tmp_path)["history"]
    assert [(each["command"][-1], each["end"], each["tasks"]) for each in history] == [
        ("first", "done", ["fake:all"]),
        ("second", "done", ["fake:all"]),
    ]
    assert len((tmp_path / "log.txt").read_text().splitlines()) == 2


def test_adding_a_task_adds_to_the_folder_and_leaves_the_first_as_it_was(tmp_path: Path) -> None:
    other = fake_task({"a": "a"}, name="other")
    first, _ = go(tmp_path, other)
    both, _ = go(tmp_path, other, tasks=("other",))
    assert set(both.results["tasks"]) == {"fake", "other"}
    assert both.results["tasks"]["fake"] == first.results["tasks"]["fake"]
    assert both.results["usage"]["model"]["calls"] == 11


@pytest.mark.parametrize(
    ("model", "images", "system", "what"),
    [
        (
            {"can": frozenset({"images"})},
            0,
            "Be brief.",
            "seen/x cannot answer fake:all: it does not support system messages",
        ),
        ({"can": frozenset({"system"})}, 2, "", "seen/x cannot answer fake:all: it takes no images"),
        ({"max_images": 1}, 2, "", "fake:all shows 2 images at once; seen/x takes 1"),
    ],
    ids=["no system message", "no vision", "fewer images than a sample holds"],
)
def test_a_model_that_cannot_answer_is_refused_with_the_reason_and_a_remedy_before_it_is_asked(
    model: dict[str, Any], images: int, system: str, what: str, tmp_path: Path
) -> None:
    asked, task = saying(**model), fake_task(lambda: iter([fake_sample(images=images)]), images=images)
    with pytest.raises(HarnessError, match=what) as refused:
        go(tmp_path / "run", model=asked, task=task, system=system, probe=True)
    assert "use a model that" in refused.value.remedy
    assert (asked.asked, (tmp_path / "run").exists()) == ([], False)
