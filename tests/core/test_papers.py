"""The paper of a task, a judge or a suite: as plugins give it, as it is checked, and as the lists show it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import harness
from harness import Judge, Paper, Suite, Task
from harness.board.bibtex import describe_paper
from harness.cli import cli
from harness.plugins import Host
from harness.testing.conformance import NotConforming, check_judge, check_suite, check_task
from harness.testing.fakes import fake_judge, fake_task, host_of

PAPER = Paper(key="doe2024stairs", title="Stairs", authors=("Jane Doe", "von Berg, Ann"), year=2024, arxiv="2401.00001")
HOST = Host.load(tell=lambda _: None)
#: packaged judges that no paper describes
UNPUBLISHED = {
    "choice": "a rule of this project",
    "keyword": "a rule of this project, over phrases that many papers use",
    "mini": "a rule for the packaged mini world",
    "pairwise": "this project's own way of asking",
    "people": "labels that a data set brings",
    "yesno": "a rule of this project",
}
#: what nobody has seen of a packaged task's paper, which is left out rather than made up
UNSEEN = {"multibench": {"year"}, "usb": {"authors"}}
WRONG: list[tuple[Any, str]] = [
    ("Doe 2024", "it is a str, not a Paper"),
    (replace(PAPER, key="doe 2024"), "key is 'doe 2024', not a letter followed by letters, digits and _.:-"),
    (replace(PAPER, key="é2024"), "key is 'é2024', not a letter"),
    (replace(PAPER, title=" "), "it has no title"),
    (replace(PAPER, title=None), "title is None"),  # type: ignore[arg-type]
    (replace(PAPER, authors="Jane Doe"), "authors is 'Jane Doe'"),  # type: ignore[arg-type]
    (replace(PAPER, authors=("Jane Doe", 5)), "authors is ('Jane Doe', 5), not a tuple of names"),  # type: ignore[arg-type]
    (replace(PAPER, authors=(" ",)), "authors is (' ',), not a tuple of names"),
    (replace(PAPER, year="2024"), "year is '2024'"),  # type: ignore[arg-type]
    (replace(PAPER, year=24), "year is 24, which has no four digits"),
    (replace(PAPER, year=True), "year is True"),
    (replace(PAPER, arxiv="arXiv:2401.00001"), "arxiv is 'arXiv:2401.00001', not an id such as 2501.18533"),
    (replace(PAPER, url="javascript:alert(1)"), "url is 'javascript:alert(1)', not an address"),
    (replace(PAPER, url="https://a b"), "url is 'https://a b', not an address"),
    (replace(PAPER, venue="V", journal="J"), "venue and journal are both given"),
]


def test_a_paper_is_part_of_the_public_interface_and_frozen() -> None:
    assert harness.Paper is Paper
    with pytest.raises(AttributeError):
        PAPER.title = "other"  # type: ignore[misc]


@pytest.mark.parametrize(("paper", "why"), WRONG, ids=[why[:40] for _, why in WRONG])
def test_a_paper_that_cannot_be_cited_is_its_plugins_fault_and_named_at_once(paper: Any, why: str) -> None:
    told: list[str] = []
    host = host_of(replace(fake_task(), paper=paper), tell=told.append)
    assert list(host.offers("tasks")) == []
    assert f"task 'fake': its paper cannot be cited: {why}" in "".join(told)
    suite = Suite(name="some", description="some tasks", tasks=("fake",), paper=paper)
    checks = (
        lambda: check_task(replace(fake_task(), paper=paper), host=host_of(fake_judge())),
        lambda: check_judge(replace(fake_judge(), paper=paper)),
        lambda: check_suite(suite, host=host_of(fake_task(), fake_judge())),
    )
    for check in checks:
        with pytest.raises(NotConforming) as caught:
            check()
        assert f"paper: {why}" in str(caught.value)


def test_a_rule_in_one_call_may_have_a_paper() -> None:
    judge = Judge.simple(
        "short", version="1", description="by length", labels=("s",), decide=lambda _sample, _response: "s", paper=PAPER
    )
    assert judge.paper is PAPER


@pytest.mark.parametrize(
    ("paper", "line"),
    [
        (PAPER, "Doe and von Berg (2024): Stairs. https://arxiv.org/abs/2401.00001"),
        (replace(PAPER, authors=(), year=None, arxiv=""), "Stairs"),
        (replace(PAPER, title="Why?", venue="CVPR", arxiv="", url="https://e.x/"), "Why? CVPR, https://e.x/"),
        (
            replace(PAPER, authors=("The Stairs Group,",), arxiv="", title="A\nB\x1b[31m"),
            "The Stairs Group (2024): A B[31m",
        ),
        (replace(PAPER, authors=("A B", "C D", "E F", "G H"), arxiv=""), "B et al. (2024): Stairs"),
        (replace(PAPER, authors=("A B", "C D", "E F"), arxiv=""), "B, D and F (2024): Stairs"),
    ],
)
def test_a_paper_in_one_line_names_who_when_what_and_where(paper: Paper, line: str) -> None:
    assert describe_paper(paper).endswith(line)


def shown(*arguments: str) -> str:
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 0, done.exception
    return done.stdout


@pytest.mark.parametrize(("kind", "name"), [("tasks", "siuo"), ("tasks", "mirage-paper"), ("judges", "xstest")])
def test_the_lists_show_the_paper_to_people_and_to_programs(kind: str, name: str) -> None:
    item = {"siuo": HOST.task, "mirage-paper": HOST.suite, "xstest": HOST.judge}[name](name)
    assert item.paper is not None
    assert f"  paper {describe_paper(item.paper)}\n" in shown(kind, "show", name)
    (facts,) = json.loads(shown(kind, "show", name, "--json"))
    assert facts["paper"]["key"] == item.paper.key
    assert facts["paper"]["authors"] == list(item.paper.authors)
    assert facts["paper"]["url"] == item.paper.link


def test_what_has_no_paper_shows_none() -> None:
    assert "paper" not in shown("judges", "show", "choice")
    (facts,) = json.loads(shown("judges", "show", "choice", "--json"))
    assert facts["paper"] is None


@pytest.mark.parametrize("task", [task for task, _ in HOST.offers("tasks")], ids=lambda task: task.name)
def test_each_packaged_task_has_its_paper_and_its_page_links_it(task: Task) -> None:
    assert task.paper is not None
    lacks = {name for name, value in (("authors", task.paper.authors), ("year", task.paper.year)) if not value}
    assert lacks == UNSEEN.get(task.name, set())
    page = Path(__file__).parents[2] / "docs" / "tasks" / f"{task.name.replace('-', '_')}.md"
    assert task.paper.link in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("judge", [judge for judge, _ in HOST.offers("judges")], ids=lambda judge: judge.name)
def test_the_page_of_a_judge_links_its_paper(judge: Judge) -> None:
    page = Path(__file__).parents[2] / "docs" / "judges" / f"{judge.name}.md"
    assert judge.paper is None or judge.paper.link in page.read_text(encoding="utf-8")


def test_each_packaged_judge_has_its_paper_or_says_why_not() -> None:
    assert {judge.name for judge, _ in HOST.offers("judges") if judge.paper is None} == set(UNPUBLISHED)


def test_papers_with_one_key_are_one_paper() -> None:
    items = [item for kind in ("tasks", "judges", "suites") for item, _ in HOST.offers(kind)]
    papers = {item.paper for item in items} - {None}
    assert len({paper.key.casefold() for paper in papers}) == len(papers) == len({paper.link for paper in papers})
