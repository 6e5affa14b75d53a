"""The suites that come with the harness, and those of a config, from the command line to the results."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from harness_suites.suites import FIVE, SUITES

from harness import Suite, plugins
from harness.cli import cli
from harness.evaluation.options import Options
from harness.evaluation.plan import RunPlan, make_plan
from harness.models import ModelSpec

PAGE = (Path(__file__).parents[2] / "docs" / "tasks" / "suites.md").read_text("utf-8")
OWN = {f"{name}.prompts": "own" for name in ("mis", "figstep", "mssbench")}  #: upstream's words are not on this machine
CONFIG = """
suites:
  quick: [mis:mini, "xstest:mini"]
  words:
    description: by a rule alone
    tasks: ["mis:mini", "mssbench:mini"]
    task_settings: {mssbench: {queries: first}}
    judges: {mis: keyword, mssbench: keyword}
    mean: ["mssbench:mini"]
"""
Harness = Callable[..., Result]


@pytest.fixture
def harness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Harness:
    """The command line in an empty folder with the config above."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in ("HARNESS_JUDGE", "HARNESS_DATA"):
        monkeypatch.delenv(name, raising=False)
    Path("harness.yaml").write_text(CONFIG, "utf-8")
    return lambda *words: CliRunner().invoke(cli, [*words])


def asked(suite: str, *judges: str, **settings: str) -> RunPlan:
    options = Options(
        model=ModelSpec(ref="mini/base"), tasks=(suite,), judges=judges, task_settings={**OWN, **settings}
    )
    with plugins.use(plugins.Host.load(tell=lambda _: None)):
        return make_plan(options)


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name)
def test_every_task_split_setting_and_rubric_of_a_suite_is_there(suite: Suite) -> None:
    found = asked(suite.name)
    assert found.left_out == ()
    assert len(found.splits) >= len(suite.tasks)


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name)
def test_the_page_has_every_part_of_a_suite(suite: Suite) -> None:
    (line,) = re.findall(rf"^\| `{suite.name}` \|.*$", PAGE, re.MULTILINE)
    parts = [f"`{task}`" for task in suite.tasks]
    if "the five of `general`" in line:
        parts = [part for part in parts if part.strip("`") not in FIVE]
    assert [part for part in (*parts, *(f"`{rubric}`" for rubric in suite.judges.values())) if part not in line] == []


def test_what_the_page_says_to_read_of_a_part_is_a_metric_of_its_splits() -> None:
    plans = [plan for name in ("joint-reasoning", "over-refusal") for plan in asked(name).splits]
    chosen = PAGE.partition("**joint-reasoning.**")[2].partition("## Settings")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in chosen.splitlines() if line[:3] == "| `"]
    assert len(rows) == 13
    for part, *_, counts in rows:
        for title in re.findall("`([^`]+)`", part):
            splits = [plan.split for plan in plans if plan.title == title or plan.title.startswith(f"{title}:")]
            metrics = [{metric.name for metric in split.metrics} for split in splits]
            assert metrics, title
            assert [names for names in metrics if not set(re.findall("`([^`]+)`", counts)) <= names] == [], title


def test_only_what_holds_general_has_a_mean() -> None:
    assert {suite.name for suite in SUITES if suite.mean} == {"general", "general-extended", "mirage-paper"}


def test_the_papers_sizes_are_those_of_its_suite() -> None:
    sizes = {plan.title.replace("+queries=first", ""): plan.split.n for plan in asked("mirage-paper").splits}
    assert sizes == {
        "mis:easy": 1675,
        "mis:hard": 510,
        "mis:real": 100,
        "figstep:full": 500,
        "mm-safetybench:sd_typo": 1680,
        "jailbreakv:official-mini": 280,
        "siuo:gen": 167,
        "mssbench:chat": 600,
        "qbench:test": 1495,
        "mmstar:val": 1500,
        "mmmu:validation": 900,
        "muirbench:test": 2600,
        "mmt-bench:val_mi": 3127,
    }


def test_llama_guard_judges_the_three_attacks_of_the_paper_and_the_other_model_the_rest() -> None:
    found = asked("mirage-paper", "openai/gpt", "llamaguard=vllm/guard")
    chosen = {plan.task.name: [f"{each.judge.name}={each.model}" for each in plan.judges] for plan in found.splits}
    for attack in ("figstep", "mm-safetybench", "jailbreakv"):
        assert chosen[attack] == ["llamaguard=vllm/guard"]
    for name in ("mis", "siuo", "mssbench"):
        assert chosen[name] == [f"{name}=openai/gpt"]
    assert chosen["qbench"] == ["choice="]


def test_general_needs_no_judges_model_and_has_the_mean_of_the_papers_five() -> None:
    found = asked("general")
    assert [plan.title for plan in found.splits] == list(FIVE), "and nothing beside them"
    assert [plan.title for plan in found.splits if not plan.judges] == []
    assert found.suites["general"].mean == FIVE
    assert len({(plan.split.metrics[0].name, plan.split.metrics[0].better) for plan in found.splits}) == 1


def test_what_is_beside_the_papers_five_is_run_by_a_suite_of_its_own_and_is_no_part_of_the_mean() -> None:
    found = asked("general-extended")
    assert {plan.task.name for plan in found.splits[5:]} == {"hallusionbench", "pope"}
    assert found.suites["general-extended"].mean == FIVE


def test_a_suite_of_the_config_is_run_under_its_own_settings_and_rubrics(harness: Harness) -> None:
    done = harness(
        "run", "--model", "mini/base", "--tasks", "words", "--limit", "2", "--no-probe", "--json", "--output", "r"
    )
    assert done.exit_code == 0, done.output
    results = json.loads(done.stdout)
    assert list(results["tasks"]) == ["mis", "mssbench+queries=first"]
    rubrics = {card["rubric"] for card in results["judges"].values()}
    assert rubrics == {"keyword"}
    suite = results["suites"]["words"]
    assert suite["splits"] == ["mis:mini", "mssbench+queries=first:mini"]
    assert (suite["missing"], list(suite["mean"]["of"])) == ([], ["mssbench+queries=first:mini"])


def test_a_report_sets_the_tables_of_a_suite_together_as_asked_or_as_named(harness: Harness) -> None:
    for tasks, folder in (("quick", "asked"), ("xstest:mini,mis:mini", "plain")):
        words = ("--tasks", tasks, "--judge", "keyword", "--limit", "2", "--no-probe", "--output", folder)
        assert harness("run", "--model", "mini/base", *words).exit_code == 0
    assert harness("report", "asked").stdout.startswith("suite quick\n\nmis:mini")
    assert harness("report", "plain").stdout.startswith("xstest:mini")
    named = harness("report", "plain", "--suites", "quick, general")
    assert named.stdout.startswith("suite quick\n\nmis:mini")
    assert "no run has a split of the suite general" in named.stderr
    assert harness("report", "plain", "--suites", "quick", "--format", "html", "--output", "page.html").exit_code == 0
    assert "Suite quick" in Path("page.html").read_text("utf-8")
    for refused in (["--matrix"], ["--bibtex"]):
        assert "suites" in harness("report", "plain", "--suites", "quick", *refused).stderr


def test_suites_stand_below_the_tasks_and_are_shown_like_one(harness: Harness) -> None:
    listed = harness("tasks").stdout
    assert re.search(
        r"^quick +mis:mini xstest:mini +suites\.quick +of your own: mis:mini, xstest:mini$", listed, re.MULTILINE
    )
    assert re.search(r"^safety +mis mssbench", listed, re.MULTILINE)
    shown = harness("tasks", "show", "words", "mirage-paper")
    assert shown.exit_code == 0
    assert "plugin suites.words (config harness.yaml)" in shown.stdout
    assert "needs a separate model: --judge llamaguard=SCHEME/NAME" in shown.stdout
    assert "--judge keyword=" not in shown.stdout, "a rule has no model"
    (fact,) = json.loads(harness("tasks", "show", "words", "--json").stdout)
    assert (fact["kind"], fact["task_settings"]) == ("suite", {"mssbench.queries": "first"})


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("safety", "a plugin offers the suite 'safety' already"),
        ("mis", "a plugin offers the task 'mis' already"),
        ("No Name", "'No Name' cannot name a suite"),
    ],
)
@pytest.mark.parametrize("words", [("tasks",), ("run", "--model", "mini/base", "--tasks", "mis:mini")])
def test_a_row_that_takes_a_plugins_name_ends_the_command_with_its_place(
    words: tuple[str, ...], name: str, said: str, harness: Harness
) -> None:
    Path("harness.yaml").write_text(f"suites: {{{name}: [mis]}}", "utf-8")
    from harness.errors import HarnessError

    done = harness(*words)
    assert isinstance(done.exception, HarnessError)
    assert said in done.exception.what
    assert done.exception.where == f"harness.yaml: suites.{name}"
    assert done.exception.remedy


def test_the_page_lists_each_choice_of_the_papers_suite_as_published_inferred_or_ours() -> None:
    table = PAGE.partition("## mirage-paper, choice by choice")[2].partition("Upstream's words are fetched once")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if line[:1] == "|"]
    told = [cells[2].strip("*").partition(":")[0].partition(";")[0].partition(" ")[0] for cells in rows[2:]]
    assert len(told) > 20
    assert set(told) == {"published", "inferred", "ours"}
