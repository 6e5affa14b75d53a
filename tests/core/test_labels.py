"""A label that nobody gives, or that nobody looks for, never becomes a silent 0 %; and the usual kinds of splits."""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

import harness
from harness import Judge, Metric, Pairing, Record, Rubric, Split, Verdict, plugins, rate, rubric
from harness.contracts import DataSource
from harness.errors import HarnessError
from harness.evaluation.options import JudgeOptions, Options
from harness.models import ModelSpec
from harness.progress.lines import LineProgress
from harness.runs.additions import combine_judges
from harness.runs.dry_run import dry_run
from harness.runs.run import Run, judge_async
from harness.runs.verification import verify_run
from harness.testing.conformance import NotConforming, check_task
from harness.testing.fakes import fake_judge, fake_task, host_of
from harness.usual import ATTACK_RULE, REFUSAL_RULE, attack, comparison, mini, over_refusal, right_answers
from tests.core.carried import Server, go, lines, numbered, split

RULES = {"choice": {}}


@pytest.mark.parametrize(
    ("split", "label", "metric", "better"),
    [
        (attack(ATTACK_RULE), "safe", "ASR", "lower"),
        (over_refusal(REFUSAL_RULE), "refused", "refusal_rate", "lower"),
        (over_refusal(REFUSAL_RULE, better_when_refused=True), "refused", "refusal_rate", "higher"),
        (right_answers(RULES), "wrong", "accuracy", "higher"),
        (comparison({"pairwise": {}}), "loss", "win_rate", "higher"),
    ],
)
def test_a_block_and_an_empty_answer_count_as_the_kind_says(split: Split, label: str, metric: str, better: str) -> None:
    assert (split.blocked_as.label, split.empty_as.label) == (label, label)
    assert [(each.name, each.better) for each in split.metrics if each.main] == [(metric, better)]


def test_what_cannot_be_read_is_a_wrong_answer_and_is_reported() -> None:
    accuracy, unparsable = right_answers(RULES).metrics
    record = Record(item="i", id="1", split="s", cluster="1", outcome="answered", label="none")
    assert (accuracy.score(record), unparsable.name, unparsable.score(record)) == ((0, 1), "unparsable", (1, 1))


def test_a_tie_is_half_a_win() -> None:
    (win_rate,) = comparison({"pairwise": {}}).metrics
    record = Record(item="i", id="1", split="s", cluster="1", outcome="answered")
    assert [win_rate.score(replace(record, label=label)) for label in ("win", "tie", "loss")] == [
        (1, 1),
        (0.5, 1),
        (0, 1),
    ]


def test_a_mini_split_is_run_only_by_name_and_by_a_rule_first() -> None:
    small = mini(attack({"own": {}}, n=500), Path("mini"), n=6, judges=ATTACK_RULE)
    assert (small.n, small.selected, small.data) == (6, False, Path("mini"))
    assert list(small.judges) == ["keyword", "own"]


BRIEF = fake_judge(lambda _, response: "short", name="brief", labels=("short", "long"))
SAFE = Verdict(label="safe")


def refused(folder: Path, **fields: Any) -> str:
    """How a run of such a split is refused; the dry run and `check_task` find the same."""
    task = fake_task(numbered(4), **{"blocked_as": SAFE, "empty_as": SAFE, **fields})
    server = Server()
    with pytest.raises(HarnessError) as caught:
        go(server, folder, BRIEF, task=task)
    assert server.asked == [], "nothing is asked before labels fit"
    with plugins.use(host_of(server.provider, task, fake_judge(), BRIEF)), pytest.raises(HarnessError) as dry:
        dry_run(Options(model=ModelSpec(ref="seen/x"), tasks=("fake",)))
    assert str(dry.value) == str(caught.value)
    with pytest.raises(NotConforming) as told:
        check_task(task, host=host_of(fake_judge(), BRIEF))
    assert str(caught.value).split(": ", 1)[1].split("\n")[0] in str(told.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (
            {"metrics": (rate("ASR", "unsfe", better="lower"),)},
            "metric ASR looks for the label 'unsfe', which is not one of its labels; did you mean 'unsafe'?",
        ),
        (
            {"metrics": (rate("ASR", "unsfe", better="lower"),), "labels": ()},
            "blocked_as is the label 'safe', which no metric knows; did you mean 'unsfe'?",
        ),
        ({"blocked_as": Verdict(label="nonsense")}, "blocked_as is the label 'nonsense'"),
        ({"empty_as": Verdict(label="saef")}, "empty_as is the label 'saef'"),
        ({"judges": {"brief": {}}}, "rubric brief, untranslated, gives the label 'long', which no metric knows"),
        (
            {"judges": {"brief": {"short": "unsfae", "long": "safe"}}},
            "rubric brief gives the label 'unsfae', which no metric knows; did you mean 'unsafe'?",
        ),
        (
            {"judges": {"fake": {}, "brief": {"short": "unsfae", "long": "safe"}}},
            "rubric brief gives the label 'unsfae'",  # of a rubric that is only listed, too
        ),
        (
            {"judges": {"brief": {"shrot": "unsafe", "long": "safe"}}},
            "it translates 'shrot', a label that rubric brief never gives",
        ),
    ],
)
def test_a_label_that_does_not_fit_ends_the_run_before_anything_is_asked(
    fields: dict[str, Any], said: str, tmp_path: Path
) -> None:
    message = refused(tmp_path / "run", **{"labels": ("unsafe", "safe"), **fields})
    for part in said.split("; "):
        assert part in message


def test_another_judge_is_checked_as_the_first_was(tmp_path: Path) -> None:
    task = fake_task(numbered(4), judges={"fake": {}, "brief": {}}, labels=("unsafe", "safe", "blocked"))
    run = go(Server(), tmp_path, BRIEF, task=task)
    with (
        plugins.use(host_of(Server().provider, task, fake_judge(), BRIEF)),
        pytest.raises(HarnessError, match="rubric brief, untranslated, gives the label 'long'"),
    ):
        anyio.run(judge_async, run.folder, JudgeOptions(judges=("brief",)))


def test_a_metric_none_of_whose_labels_the_judge_can_give_has_no_value_and_says_why(tmp_path: Path) -> None:
    metrics = (rate("ASR", "unsafe", "worse", better="lower"), rate("warned", "warning", "hint", better="higher"))
    found = split(go(Server(), tmp_path, task=fake_task(numbered(4), metrics=metrics)))["metrics"]
    assert (found["ASR"]["value"], found["ASR"]["numerator"]) == (100.0, 4), "one label of several is enough"
    assert "why" not in found["ASR"]
    warned = found["warned"]
    assert warned["why"] == "the judge cannot give the label warning or hint"
    assert [warned[key] for key in ("value", "ci95", "numerator", "denominator", "bounds", "ci95_worst")] == [None] * 6


def test_what_a_judge_cannot_give_has_no_value_in_breakdowns_and_readings_over_epochs_either(tmp_path: Path) -> None:
    metrics = (rate("warned", "warning", better="higher", main=True),)
    task = fake_task(numbered(4), metrics=metrics, by=("category",))
    found = split(go(Server(), tmp_path, task=task, epochs=2))
    assert all(body["value"] is None for body in found["metrics"].values())
    groups = [body for group in found["by"].values() for part in group.values() for body in part["metrics"].values()]
    assert all(body["value"] is None for body in groups)


COARSE = fake_judge(name="coarse", labels=("unsafe", "safe"))
FINE = fake_judge(lambda _, response: "subtle", name="fine", labels=("unsafe", "safe", "subtle"))
SUBTLE = (rate("subtle", "subtle", better="lower", main=True),)


def subtle_task() -> Any:
    return fake_task(numbered(12), judges={"fake": {}, "coarse": {}, "fine": {}}, metrics=SUBTLE)


def test_a_comparison_of_what_the_judge_cannot_give_has_no_difference_and_no_test(tmp_path: Path) -> None:
    for name in ("a", "b"):
        go(Server(), tmp_path / name, task=subtle_task())
    with plugins.use(host_of(Server().provider, subtle_task(), fake_judge())):
        found = harness.compare(tmp_path / "a", tmp_path / "b")
    paired = found.splits[0].changes["subtle"].paired
    assert (paired.left, paired.right, paired.difference, paired.p, paired.ci95, paired.bounds) == (None,) * 6
    assert paired.why == "the judge cannot give the label subtle"
    assert found.family == 0


def test_a_pairing_inside_a_task_has_no_difference_of_what_the_judge_cannot_give(tmp_path: Path) -> None:
    task = subtle_task()
    twins = Pairing(name="twins", left="all", right=("all",), key=lambda record: record.id, metric="subtle")
    run = go(Server(), tmp_path, task=replace(task, pairings=(twins,)))
    told = run.results["tasks"]["fake"]["paired"]["subtle"]
    assert (told["difference"], told["all"], told["why"]) == (None, None, "the judge cannot give the label subtle")


def test_an_ensemble_can_give_what_more_than_half_of_its_members_can(tmp_path: Path) -> None:
    task = subtle_task()
    judges = ("fake", "coarse", "fine")
    run = go(Server(), tmp_path, COARSE, FINE, task=task, judges=judges)
    with plugins.use(host_of(Server().provider, task, fake_judge(), COARSE, FINE)):
        found = split(combine_judges(run.folder, JudgeOptions()))
    views = {**found["other_judges"], found["judge"]: found}
    [ensemble] = [view for judge, view in views.items() if judge.startswith("combine")]
    assert ensemble["metrics"]["subtle"]["value"] is None
    [fine] = [view for judge, view in views.items() if judge.startswith("fine")]
    assert fine["metrics"]["subtle"]["value"] == 100.0


def test_the_running_line_shows_no_value_that_the_results_will_not_have(tmp_path: Path) -> None:
    told = io.StringIO()
    go(Server(), tmp_path, task=subtle_task(), progress=LineProgress(told))
    assert "12/12" in told.getvalue()
    assert "subtle" not in told.getvalue()


def blocked_share_task() -> Any:
    metrics = (rate("ASR", "unsafe", better="lower", main=True), rate("BLK", "blocked", better="lower"))
    judges: Any = {"fake": {}, "gone": {}}
    return fake_task(numbered(4), metrics=metrics, judges=judges, labels=("unsafe", "safe", "blocked"))


def test_what_only_blocks_can_be_is_measured_whatever_rubric_is_here_or_not(tmp_path: Path) -> None:
    gone = fake_judge(name="gone", labels=("unsafe", "safe"))
    run = go(Server(), tmp_path, gone, task=blocked_share_task())
    assert split(run)["metrics"]["BLK"]["value"] == 0.0
    with plugins.use(host_of(Server().provider, blocked_share_task(), fake_judge())):
        assert not any(part.differences for part in verify_run(run.folder).parts)


def test_what_a_rubric_that_is_not_here_may_say_is_no_matter_of_blocks_alone(tmp_path: Path) -> None:
    found = split(go(Server(), tmp_path, task=blocked_share_task()))["metrics"]["BLK"]
    assert (found["value"], found["why"]) == (None, "the judge cannot give the label blocked")


def test_a_rate_that_looks_for_nothing_cannot_be_written_down() -> None:
    with pytest.raises(ValueError, match="looks for no label"):
        rate("R", better="higher")


def by_label(label: str) -> Metric:
    """A metric that cannot say what it looks for."""

    def score(record: Record) -> tuple[float, float]:
        return float(record.label == label), 1.0

    return Metric(name="share", score=score, better="lower")


def noted(run: Run) -> list[str]:
    return [note for note in run.notes if "no metric uses" in note]


def test_labels_that_a_metric_of_no_declared_labels_never_counted_are_named(tmp_path: Path) -> None:
    task = fake_task(numbered(4), metrics=(by_label("unsfe"),), labels=())
    run = go(Server(), tmp_path, task=task)
    assert split(run)["uncounted"] == ["unsafe"]
    [note] = noted(run)
    assert "fake:all" in note
    assert "'unsafe'" in note


@pytest.mark.parametrize(
    "fields", [{"metrics": (by_label("unsafe"),), "labels": ()}, {"labels": ("unsafe", "blocked", "safe")}]
)
def test_labels_that_counted_are_not_named(fields: dict[str, Any], tmp_path: Path) -> None:
    run = go(Server(), tmp_path, task=fake_task(numbered(4), **fields))
    assert "uncounted" not in split(run)
    assert noted(run) == []


def test_a_metric_that_no_label_changes_is_named_also_where_the_split_declares_its_labels(tmp_path: Path) -> None:
    task = fake_task(numbered(4), metrics=(by_label("unsfe"),), labels=("unsafe", "safe", "blocked"))
    run = go(Server(), tmp_path, task=task)
    assert split(run)["unmoved"] == ["share"]
    assert [note for note in run.notes if "no label that was given changes the metric share" in note]


@pytest.mark.parametrize(
    ("metric", "said"),
    [
        (by_label("unsfe"), "no label changes its score"),
        (
            Metric(name="a", score=by_label("unsafe").score, better="lower", labels=("safe",)),
            "says that it looks for ['safe'], which change nothing",
        ),
        (Metric(name="a", score=by_label("unsafe").score, better="lower", labels=()), "counts ['unsafe']"),
    ],
)
def test_a_metric_that_says_what_it_does_not_look_for_breaks_its_contract(metric: Metric, said: str) -> None:
    with pytest.raises(NotConforming) as told:
        check_task(fake_task(metrics=(metric,)), host=host_of(fake_judge()))
    assert said in str(told.value)


def word_judge(own: Callable[[str], bool] | None = None, labels: tuple[str, ...] = ("unsafe", "safe")) -> Judge:
    opened = Rubric(
        identity={}, labels=labels, read=lambda _s, _r, _replies: Verdict(label=labels[0]), verdict_like=own
    )
    return Judge(name="word", version="1", description="a fake", open=lambda *_: opened)


@pytest.mark.parametrize(
    ("answer", "judge", "flagged"),
    [
        ("safe", word_judge(), True),
        (" **Unsafe**. ", word_judge(), True),
        ("It is safe to touch.", word_judge(), False),
        ("Answer: no", word_judge(labels=("yes", "no")), True),
        ("Answer: no", word_judge(), False),
        ("#thescore: 1", word_judge(), True),
        ("Sure. [[A]]", word_judge(), True),
        ("Rating: [[5]]", word_judge(), True),
        ("1_full_compliance", word_judge(labels=("full_compliance", "full_refusal")), True),
        ("tone = calm", word_judge(lambda answer: "tone = " in answer), True),
        ("tone = calm", word_judge(), False),
    ],
)
def test_an_answer_shaped_like_a_verdict_of_its_judge_is_flagged_in_the_verdict_line(
    answer: str, judge: Judge, flagged: bool, tmp_path: Path
) -> None:
    labels = judge.open({}, Path()).labels
    task = fake_task(numbered(2), judges={"word": {}}, labels=(*labels, "unsafe", "blocked"))
    run = go(Server(lambda _: answer), tmp_path, judge, task=task)
    [file] = (tmp_path / "fake").glob("verdicts-*.jsonl")
    expected = ["verdict_like"] if flagged else []
    assert [line["flags"] for line in lines(tmp_path, file.stem)] == [expected] * 2
    assert all("verdict_like" not in line["flags"] for line in lines(tmp_path))
    assert split(run)["flags"]["verdict_like"] == (2 if flagged else 0)


def test_a_sheet_knows_its_own_form_and_a_classifier_its_own_words() -> None:
    form = rubric.ReplySchema(
        fields={"tone": ("calm", "loud"), "steps": range(1, 6)}, labels=("calm",), verdict=lambda _: SAFE
    )
    for planted in ('{"tone": "calm"}', "**Tone**: loud", "steps = 3"):
        assert form.is_spelled_in(planted)
    for honest in ("", "A calm tone.", "Take 3 steps: left.", "tone: green", "steps: 30"):
        assert not form.is_spelled_in(honest)


@pytest.mark.parametrize("make", [attack, over_refusal, right_answers, comparison])
def test_a_usual_split_takes_its_own_data_source_paper_and_description(make: Callable[..., Split]) -> None:
    own = {
        "data": Path("own"),
        "source": DataSource(url="https://example.org", licence="MIT"),
        "description": "Questions of our own.",
        "selected": False,
        "fidelity": "own",
    }
    made = make(ATTACK_RULE, **own)
    assert {name: getattr(made, name) for name in own} == own
