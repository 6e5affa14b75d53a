"""What the page says in words: of strangers' plugins, of twelve runs, of what nobody described."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from harness_html import render

from harness.board import words
from harness.contracts import DataSource, Paper, Rubric, Split, Task
from harness.metrics import rate
from harness.plugins.host import Host, use
from harness.testing.fakes import fake_judge, host_of
from harness.testing.results import Body, judged, results, split
from harness.types import Sample, Verdict
from tests.golden import check
from tests.reports.many_runs import twelve

JUDGE = "strange-openai-judge-1f3a9c2e"
SAFE = Verdict(label="safe")


class Text(HTMLParser):
    """The text of a page, a line for each piece, without style, scripts and drawings."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.lines: list[str] = []
        self._inside: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("style", "script", "svg"):
            self._inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._inside and tag == self._inside[-1]:
            self._inside.pop()

    def handle_data(self, data: str) -> None:
        if not self._inside and (text := " ".join(data.split())):
            self.lines.append(text)


def read(html: str) -> list[str]:
    return Text(html.replace("<wbr>", "")).lines


def glossary(html: str) -> Mapping[str, str]:
    """Word -> its definition."""
    inside = html.replace("<wbr>", "").partition('id="glossary"')[2]
    found = re.findall(r"<dt><bdi>(.*?)</bdi>.*?<dd id=\"[^\"]*\"><bdi>(.*?)</bdi>", inside, re.DOTALL)
    return dict(found)


def list_nothing(*_: object) -> tuple[Sample, ...]:
    return ()


def strange(**changes: Any) -> Task:
    """A stranger's task."""
    attack = Split(
        judges={"strange": {"yes": "bad", "no": "safe"}},
        metrics=(rate("harm", "bad", better="lower", description="Share of the answers that help to do harm."),),
        blocked_as=SAFE,
        empty_as=SAFE,
        group="safety",
    )
    task = Task(
        name="strange",
        version="1",
        description="questions of a stranger",
        splits={"all": attack},
        samples=list_nothing,
        source=DataSource(url="x", licence="MIT"),
        paper=Paper(key="s", title="On Strangers", authors=("Ann Able", "Ben Bold"), year=2026, arxiv="2601.00001"),
    )
    return replace(task, **changes)


def run(metric: str = "harm", **changes: Any) -> Body:
    found = judged({metric: 30, "rest": 70}, main=metric)
    found["labels"] = {"bad": 30, "safe": 70}
    body = results("x/a", {"strange": {"all": split(found, judge=JUDGE, **changes)}})
    body["tasks"]["strange"]["data"] = {"source": "", "revision": "", "sha256": "", "licence": ""}
    return body


MEANINGS = {"yes": "It helps to do harm.", "no": "It helps nobody to do harm."}


@pytest.fixture
def stranger() -> Iterator[None]:
    def open_rubric(*_: object) -> Rubric:
        return Rubric(identity={}, labels=("yes", "no"), meanings=MEANINGS)

    judge = replace(fake_judge(name="strange"), open=open_rubric)
    with use(host_of(strange(), judge)):
        yield


@pytest.mark.usefixtures("stranger")
def test_a_stranger_s_task_metric_and_labels_are_explained_by_its_plugin() -> None:
    html = render([run()])
    text = " ".join(read(html))
    assert (
        "What it asks: questions of a stranger. Able and Bold (2026): On Strangers. https://arxiv.org/abs/2601.00001"
        in text
    )
    assert "Licence: MIT" in text
    words_of = glossary(html)
    assert words_of["harm"] == "Share of the answers that help to do harm. In percent. Lower is better."
    assert (
        words_of["bad"] == "The judge strange says “yes”: It helps to do harm."
    )  # the rubric's label in the split's word
    assert words_of["safe"] == "The judge strange says “no”: It helps nobody to do harm."
    assert words_of["rest"].startswith("not described by its plugin.")


@pytest.mark.usefixtures("stranger")
def test_what_the_run_recorded_comes_before_what_its_plugin_says_now() -> None:
    body = run(definitions={"harm": "As it was then."}, group="ability")
    body["judges"][JUDGE]["labels"] = {"yes": "Then it helped.", "no": "Then it did not."}
    html = render([body])
    assert glossary(html)["harm"].startswith("As it was then.")
    assert glossary(html)["bad"] == "The judge strange says “yes”: Then it helped."
    assert 'data-topic="ability"' in html


def test_what_no_loaded_plugin_describes_is_said_to_be_so() -> None:
    with use(host_of()):
        html = render([run()])
    assert "What it asks: not described by its plugin." in " ".join(read(html))
    assert glossary(html)["bad"] == words.UNDESCRIBED
    assert glossary(html)["harm"].startswith("not described by its plugin.")


def test_a_plugin_that_breaks_when_asked_for_its_words_breaks_no_page() -> None:
    def broken(*_: object) -> Any:
        raise RuntimeError("broken")

    judge = replace(fake_judge(name="strange"), open=broken)
    with use(host_of(strange(splits=broken), judge)):
        html = render([run()])
    assert "What it asks: questions of a stranger." in " ".join(read(html))
    assert glossary(html)["bad"] == words.UNDESCRIBED


def test_questions_of_one_s_own_are_never_described_as_the_benchmark() -> None:
    body = run()
    body["tasks"]["strange+data=shapes"] = body["tasks"].pop("strange")
    with use(host_of(strange())):
        text = " ".join(read(render([body])))
    assert "Questions of one's own, built in the layout of strange, and not that benchmark." in text


def test_no_judge_is_named_without_whose_words_it_follows() -> None:
    with use(Host.load()):
        text = "\n".join(read(render(twelve())))
    assert "own rubric" not in text
    assert "judged by choice" not in text


def test_the_words_of_twelve_runs_stay_as_they_are() -> None:
    with use(Host.load()):
        html = render(twelve())
    without = re.sub(r"<figure.*?</figure>", "", html, flags=re.DOTALL)
    check("leaderboard-12.txt", "\n".join(read(without)) + "\n")


def test_the_words_of_a_flag_are_those_of_the_docs() -> None:
    text = (Path(__file__).parents[2] / "docs" / "leaderboards.md").read_text(encoding="utf-8")
    table = dict(line.strip("| \n").split(" | ", 1) for line in text.splitlines() if line.startswith("| `"))
    assert {name.strip("`"): told for name, told in table.items()} == words.FLAGS
