"""From names to splits, settings, judges and the samples a limit takes; and the remedy for each misspelling."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import plugins
from harness.contracts import Judge, Rubric, Split, Task
from harness.errors import HarnessError, UnknownName
from harness.evaluation.options import Options
from harness.evaluation.plan import make_plan, survey_samples, take_turns
from harness.evaluation.splits import SplitPlan, split_judge
from harness.metrics import rate
from harness.models import ModelSpec
from harness.testing.fakes import fake_judge, fake_sample, fake_task, host_of
from harness.types import Generation, Message, Request, Sample, Setting, Settings, Text, Verdict

BLOCKED = Verdict(label="blocked")
PACKAGED = Path("packaged")


def setting(name: str, default: object, *, identity: bool = True, **fields: Any) -> Setting:
    return Setting(name=name, type=type(default), default=default, identity=identity, **fields)


def model_judge(name: str, *settings: Setting) -> Judge:
    """A rubric that needs a model."""
    rubric = Rubric(identity={}, labels=("bad", "good"), ask=lambda _s, _r: [], read=lambda *_: BLOCKED)
    return Judge(
        name=name, version="1", description="", open=lambda _s, _d: rubric, settings=settings, needs=frozenset()
    )


def split(*judges: str, **fields: Any) -> Split:
    metrics = (rate("ASR", "unsafe", better="lower"),)
    accepted: Mapping[str, Mapping[str, str]] = {name: {} for name in judges}
    judges = fields.pop("judges", accepted)
    labels = ("unsafe", "safe", "blocked", "bad", "good")
    return Split(judges=judges, metrics=metrics, blocked_as=BLOCKED, empty_as=BLOCKED, labels=labels, **fields)


def _samples(_root: Path, name: str, _settings: Settings) -> Iterator[Sample]:
    yield fake_sample(split=name)


def _gore(settings: Settings, _root: Path) -> Mapping[str, Split]:
    return {"all": split("tone" if settings["form"] == "free" else "yesno", images=1)}


RISK = Task(
    name="risk",
    version="1",
    description="",
    splits={
        "easy": split("risk", "words", defaults=Generation(max_tokens=64)),
        "hard": split(judges={"risk": {"bad": "unsafe"}, "words": {}}),
        "test": split("risk", "words", parts=("easy", "hard")),
        "mini": split("rule", "risk", data=PACKAGED, selected=False),
    },
    samples=_samples,
)
GORE = Task(
    name="gore",
    version="1",
    description="",
    splits=_gore,
    samples=_samples,
    settings=(
        setting("form", "free", choices=("free", "yesno")),
        setting("prompts", "own"),
        setting("threads", 1, identity=False),
    ),
)
HOST = host_of(
    RISK,
    GORE,
    model_judge("risk", setting("prompts", "own"), setting("strict", False)),
    model_judge("tone", setting("prompts", "own")),
    fake_judge(name="rule"),
    fake_judge(name="words"),
    fake_judge(name="yesno"),
)


@pytest.fixture(autouse=True)
def offered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("HARNESS_DATA", raising=False)
    with plugins.use(HOST):
        yield


def made(*tasks: str, **fields: Any) -> dict[str, SplitPlan]:
    """Plans by title."""
    options = Options(model=ModelSpec(ref="fake/x"), tasks=tasks, **{"data": Path("/data"), **fields})
    return {each.title: each for each in make_plan(options).splits}


def judges(*given: str, tasks: tuple[str, ...] = ("risk:easy",), **fields: Any) -> list[str]:
    """The judges of the first split, as `RUBRIC=MODEL`."""
    first = next(iter(made(*tasks, judges=given, **fields).values()))
    return [f"{choice.judge.name}={choice.model}" for choice in first.judges]


def test_a_tasks_bare_name_stands_for_its_selected_splits() -> None:
    assert list(made("risk")) == ["risk:easy", "risk:hard"]


def test_a_derived_split_stands_for_its_parts_and_is_never_asked_itself() -> None:
    assert list(made("risk:test")) == ["risk:easy", "risk:hard"]


def test_a_split_that_is_named_twice_is_asked_once() -> None:
    assert list(made("risk:hard", "risk", "risk:test")) == ["risk:hard", "risk:easy"]


def test_a_packaged_split_has_its_own_data_and_the_others_share_the_tasks() -> None:
    found = made("risk:mini", "risk:easy", "gore", task_settings={"gore.data": "/elsewhere"})
    assert [each.root for each in found.values()] == [PACKAGED, Path("/data/risk"), Path("/elsewhere")]
    assert set(found["risk:mini"].splits) == {"easy", "hard", "test", "mini"}


def test_generation_settings_of_the_user_stand_over_the_splits() -> None:
    found = made("risk:easy", generation={"temperature": 0.7})["risk:easy"].generation
    assert (found.temperature, found.max_tokens) == (0.7, 64)


def test_a_task_setting_that_changes_the_request_is_part_of_the_name_and_another_is_not() -> None:
    given = {"gore.form": "yesno", "gore.threads": "4"}
    (found,) = made("gore", task_settings=given).values()
    assert found.display == "gore+form=yesno"
    assert found.settings == {"form": "yesno", "prompts": "own", "threads": 4}
    assert found.default.name == "yesno", "settings may change which rubrics are accepted"


def test_the_key_that_task_and_rubric_share_reaches_both_and_any_other_reaches_its_owner() -> None:
    given = {"gore.prompts": "upstream", "tone.prompts": "mine", "risk.strict": "true"}
    (gore,) = made("gore", judges=("openai/J",), task_settings=given).values()
    assert (gore.settings["prompts"], gore.judges[0].settings["prompts"]) == ("upstream", "mine")
    (risk,) = made("risk:easy", judges=("openai/J",), task_settings=given).values()
    assert risk.judges[0].settings == {"prompts": "own", "strict": True}


def test_without_a_judge_a_split_that_needs_a_model_has_none_and_a_rule_needs_none() -> None:
    assert judges() == []
    assert judges(tasks=("risk:mini",)) == ["rule="]


def test_a_model_answers_the_default_rubric_and_leaves_a_rule_as_it_is() -> None:
    assert judges("openai/J") == ["risk=openai/J"]
    assert judges("openai/J", tasks=("risk:mini",)) == ["rule="]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (("words",), ["words="]),
        (("words", "openai/J"), ["words=", "risk=openai/J"]),
        (("openai/A", "openai/B"), ["risk=openai/A", "risk=openai/B"]),
        (("risk=openai/A", "risk=openai/A"), ["risk=openai/A"]),
        (("openai/A", "risk"), ["risk=openai/A"]),
        (("risk=openai/A", "openai/B"), ["risk=openai/A", "risk=openai/B"]),
    ],
)
def test_the_first_judge_is_the_primary_and_each_stands_once(given: tuple[str, ...], expected: list[str]) -> None:
    assert judges(*given) == expected


def test_a_rubric_is_used_where_it_is_accepted_and_the_default_judges_elsewhere() -> None:
    found = made("risk:easy", "risk:mini", judges=("words",))
    assert [[choice.judge.name for choice in each.judges] for each in found.values()] == [["words"], ["rule"]]


def test_a_rubric_that_no_split_accepts_reports_its_own_labels() -> None:
    (easy,) = made("risk:easy", judges=("rule",)).values()
    assert [choice.judge.name for choice in easy.judges] == ["rule"]
    assert all(word == f"rule:{label}" for label, word in easy.judges[0].translation.items())


def test_a_task_setting_names_the_default_rubric() -> None:
    assert judges(task_settings={"risk.judge": "words"}) == ["words="]
    assert judges("openai/J", task_settings={"risk.judge": "words"}) == ["words="]


def test_a_choice_carries_the_splits_translation_its_most_images_and_the_rubrics_data() -> None:
    (hard,) = made("risk:hard", judges=("openai/J",)).values()
    assert (hard.judges[0].translation, hard.judges[0].root) == ({"bad": "unsafe"}, Path("/data/risk"))
    (gore,) = made("gore", judges=("openai/J",)).values()
    assert gore.judges[0].images == 1


def refusal(*tasks: str, **fields: Any) -> HarnessError:
    with pytest.raises(HarnessError) as caught:
        made(*tasks, **fields)
    return caught.value


@pytest.mark.parametrize(
    ("tasks", "fields", "what", "remedy"),
    [
        (("rsk",), {}, "'rsk'", "risk"),
        (("risk:eazy",), {}, "task risk has no split 'eazy'", "did you mean 'easy'?"),
        (("risk",), {"judges": ("wrds",)}, "'wrds'", "words"),
        (("risk",), {"task_settings": {"rsk.data": "x"}}, "-T rsk.data: no task or judge 'rsk'", "'risk'"),
        (("gore",), {"task_settings": {"gore.promts": "x"}}, "gore has no setting 'promts'", "'prompts'"),
        (("risk",), {"task_settings": {"risk.stricte": "x"}}, "risk has no setting 'stricte'", "'strict'"),
        (("risk",), {"task_settings": {"risk": "x"}}, "risk has no setting ''", "known:"),
        (("risk",), {"task_settings": {"words.data": "x"}}, "words has no setting 'data'", "there is none"),
        (("risk",), {"task_settings": {"risk.judge": "wrds"}}, "'wrds'", "words"),
    ],
)
def test_every_misspelling_is_answered_with_the_nearest(
    tasks: tuple[str, ...], fields: dict[str, Any], what: str, remedy: str
) -> None:
    error = refusal(*tasks, **fields)
    assert isinstance(error, UnknownName)
    assert what in error.what
    assert remedy in error.remedy


@pytest.mark.parametrize(
    ("tasks", "fields", "what", "remedy"),
    [
        ((), {}, "no task to run", "--tasks"),
        (("gore",), {"task_settings": {"gore.form": "prose"}}, "form=prose", "free"),
        (("gore",), {"task_settings": {"gore.threads": "many"}}, "threads=many is not an int", ""),
        (("risk",), {"judges": ("risk",)}, "rubric 'risk' needs a model", "--judge risk=SCHEME/NAME"),
        (("risk",), {"judges": ("words=openai/J",)}, "'words' is a rule and asks no model", "--judge words"),
        (("risk",), {"task_settings": {"risk.judge": "tone"}}, "risk does not accept rubric 'tone'", "risk, words"),
    ],
)
def test_what_does_not_fit_is_refused_with_a_remedy(
    tasks: tuple[str, ...], fields: dict[str, Any], what: str, remedy: str
) -> None:
    error = refusal(*tasks, **fields)
    assert what in error.what
    assert remedy in error.remedy


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("openai/NAME", ("", "openai/NAME")),
        ("mis=openai/NAME", ("mis", "openai/NAME")),
        ("keyword", ("keyword", "")),
        ("openai/ft:NAME?x=1", ("", "openai/ft:NAME?x=1")),
        ("mis=hf/a=b", ("mis", "hf/a=b")),
    ],
)
def test_a_judge_is_a_model_where_it_has_a_slash_before_any_equals_sign(text: str, expected: tuple[str, str]) -> None:
    assert split_judge(text) == expected


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"retry": frozenset({"eror"})}, "--retry eror"),
        ({"limit": 0}, "--limit must be at least 1"),
        ({"epochs": 0}, "--epochs must be at least 1"),
        ({"min_coverage": 98}, "--min-coverage must be between 0 and 1"),
        ({"phases": "seqential"}, "--phases seqential"),
    ],
)
def test_options_that_no_flag_would_let_in_are_refused(fields: dict[str, Any], what: str) -> None:
    options = replace(Options(model=ModelSpec(ref="a/b"), tasks=("risk",)), **fields)
    with pytest.raises(HarnessError, match=what):
        options.check()


def test_a_task_whose_bare_name_selects_no_split_says_so_instead_of_running_nothing() -> None:
    with plugins.use(host_of(fake_task(selected=False), fake_task(name="other"), fake_judge())):
        error = refusal("other", "fake")
    assert error.what == "fake has no default split"
    assert "fake:NAME" in error.remedy


ASK = Request(messages=(Message(role="user", content=(Text(text="?"),)),))


def sample(number: int, category: str = "a", cluster: str = "") -> Sample:
    return Sample(id=str(number), split="s", request=ASK, category=category, cluster=cluster)


SAMPLES = [sample(n, "abc"[n % 3], f"c{n // 2}") for n in range(60)]


def test_without_a_limit_everything_is_taken() -> None:
    found = survey_samples(SAMPLES, None)
    assert (found.samples, found.found, found.taken) == (60, 60, None)
    assert all(found.takes(each) for each in SAMPLES)


def test_a_limit_counts_clusters_and_takes_each_whole() -> None:
    found = survey_samples(SAMPLES, 7)
    taken = [each for each in SAMPLES if found.takes(each)]
    assert len({each.cluster for each in taken}) == 7
    assert found.samples == len(taken) == 14


def test_a_sample_without_a_cluster_is_its_own() -> None:
    assert survey_samples([sample(n) for n in range(10)], 4).samples == 4


@given(st.integers(1, 29), st.randoms(use_true_random=False))
def test_raising_the_limit_only_adds_whatever_the_order_of_the_file(limit: int, random: object) -> None:
    shuffled = list(SAMPLES)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    few, more = survey_samples(SAMPLES, limit).taken, survey_samples(shuffled, limit + 1).taken
    assert few is not None
    assert more is not None
    assert few < more


def test_categories_take_turns() -> None:
    clusters = [(f"c{n}", "abc"[n % 3]) for n in range(30)]
    first = list(take_turns(clusters))[:9]
    assert Counter(dict(clusters)[cluster] for cluster in first) == {"a": 3, "b": 3, "c": 3}


def test_a_category_that_runs_out_leaves_its_turns_to_the_others() -> None:
    clusters = [("only", "a"), *((f"c{n}", "b") for n in range(5))]
    assert sorted(take_turns(clusters)) == sorted(name for name, _ in clusters)
