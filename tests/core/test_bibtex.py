"""`harness report --bibtex`: the bibliography of all that some runs rest on, as BibTeX itself reads it."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from harness import Paper, Task
from harness.board.bibtex import HARNESS, render_bibliography, render_entry
from harness.cli import cli
from harness.plugins import Host
from harness.testing.fakes import fake_judge, fake_task
from harness.testing.results import judged, results, split
from tests.tools import tool

PAPER = Paper(key="doe2024stairs", title="Stairs", authors=("Jane Doe", "von Berg, Ann"), year=2024, arxiv="2401.00001")
HOST = Host.load(tell=lambda _: None)
JUDGE = "mis-openai-j-1f3a9c2e"
HOSTILE = (
    r"} @misc{evil, title={\input{/etc/passwd}}} % $x_1^2$ & # ~ \ {{{",
    '"quoted" and {braced} --- `ticks` @string{a="b"} \\end{thebibliography} \\def\\x{}',
    "中文 العربية 🙂 Jeretič Øst ąę İ ǆ é\u0301 \u202e\x1b[31m\0",
)
ENTRY = re.compile(r"^@(\w+)\{([^,\s]+),\n(.*?)^\}$", re.MULTILINE | re.DOTALL)


def body(tasks: Sequence[str] = ("mis:easy",), *, judge: str = JUDGE, **more: Any) -> dict[str, Any]:
    """Results of a run with splits of some tasks."""
    finding = judged({"unsafe": 10, "safe": 90}, main="unsafe")
    splits: dict[str, dict[str, Any]] = {}
    for name in tasks:
        task, _, part = name.partition(":")
        splits.setdefault(task, {})[part] = split(finding, judge=judge)
    made = results("x/a", splits)
    return {**made, "harness": "0.1.0", "judges": {judge: {"rubric": judge.split("-")[0]}}, **more}


def bibliography(*bodies: Mapping[str, Any], **given: Any) -> str:
    """The bibliography with everything that is packaged, unless other descriptors are given."""
    kinds = {kind: [item for item, _ in HOST.offers(kind)] for kind in ("tasks", "judges", "suites")} | given
    return render_bibliography(bodies or (body(),), **kinds)


def entries(text: str) -> dict[str, dict[str, str]]:
    """Key -> fields of each entry, which is written one field a line."""
    found: dict[str, dict[str, str]] = {}
    for _, key, lines in ENTRY.findall(text):
        assert key not in found
        found[key] = dict(re.findall(r"^  (\w+) = \{(.*)\},$", lines, re.MULTILINE))
    return found


def comments(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("%")]


def typeset(text: str, folder: Path, style: str = "plain") -> str:
    """What BibTeX makes of all entries, after LaTeX has set them; either stops at an error."""
    (folder / "refs.bib").write_text(text, encoding="utf-8")
    page = rf"\documentclass{{article}}\begin{{document}}\nocite{{*}}\bibliographystyle{{{style}}}\bibliography{{refs}}"
    (folder / "page.tex").write_text(page + r"\end{document}", encoding="utf-8")
    latex = [tool("pdflatex"), "-no-shell-escape", "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
    for command in (latex, [tool("bibtex"), "page"], latex):
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace")
        assert done.returncode == 0, done.stdout[-3000:]
    log = (folder / "page.blg").read_text(errors="replace")
    assert not re.search(r"error message|repeated entry|Illegal|I was expecting", log, re.IGNORECASE), log
    return (folder / "page.bbl").read_text(errors="replace")


def test_it_names_this_tool_first_then_each_paper_by_key_with_what_rests_on_it() -> None:
    text = bibliography(body(["xstest:safe", "mis:easy", "figstep:full"]))
    assert list(entries(text)) == ["vlm-safety-harness", "ding2025rethinking", "gong2025figstep", "rottger2024xstest"]
    assert "% task mis; judge mis; published numbers of figstep, mis\n@misc{ding2025rethinking," in text
    assert "% task xstest\n@inproceedings{rottger2024xstest," in text


def test_this_tool_is_cited_as_its_file_says_with_the_versions_of_the_runs() -> None:
    cff = yaml.safe_load((Path(__file__).parents[2] / "CITATION.cff").read_text(encoding="utf-8"))
    assert cff["title"] == HARNESS.title
    assert [f"{author['name']}," for author in cff["authors"]] == list(HARNESS.authors)
    found = entries(bibliography(body(finished="2025-12-31T23:00:00Z"), body(harness="0.2.0")))["vlm-safety-harness"]
    assert (found["note"], found["year"]) == ("Version 0.1.0, 0.2.0", "2026")  # of the last run
    assert found["author"] == "{The vlm-safety-harness authors}"


def test_papers_that_the_citation_file_names_are_those_of_the_plugins() -> None:
    cff = yaml.safe_load((Path(__file__).parents[2] / "CITATION.cff").read_text(encoding="utf-8"))
    papers = {task.paper.link: task.paper for task, _ in HOST.offers("tasks") if task.paper}
    for each in cff["references"]:
        paper = papers[each["url"]]
        named = [f"{author['given-names']} {author['family-names']}" for author in each["authors"]]
        assert (each["title"], named, each["year"]) == (paper.title, list(paper.authors), paper.year)


def test_only_what_the_runs_hold_is_cited() -> None:
    keys = set(entries(bibliography(body(["mis:mini"], judge="keyword-1f3a9c2e"))))
    assert keys == {"vlm-safety-harness", "ding2025rethinking"}
    assert "published numbers" not in bibliography(body(["mis:mini"]))  # nobody published numbers of the mini split


def test_what_has_no_paper_and_what_is_not_loaded_is_named_in_a_comment_line() -> None:
    tasks = [replace(fake_task(), name="plain"), replace(fake_task(), name="known", paper=PAPER)]
    text = bibliography(body(["plain:all", "known:all", "gone:all"]), tasks=tasks, judges=[fake_judge()])
    assert "% Without a paper: task plain." in comments(text)
    assert "% Not loaded here, so their papers are not known: task gone, judge mis." in comments(text)
    assert set(entries(text)) == {"vlm-safety-harness", "doe2024stairs"}


def test_labels_of_people_and_majorities_are_no_method_to_cite() -> None:
    rubrics = ("human", "people", "combine-majority")
    text = bibliography(body() | {"judges": {f"{rubric}-x": {"rubric": rubric} for rubric in rubrics}})
    assert comments(text)[1:] == ["% task mis; published numbers of mis"]


def test_a_task_with_other_settings_or_a_set_of_ones_own_cites_the_benchmark_and_no_published_numbers() -> None:
    text = bibliography(body(["mis+prompts=upstream:easy", "mis+data=/my set@1:easy"]))
    assert "% task mis; judge mis\n" in text


def test_a_data_set_of_an_open_task_is_cited_beside_the_tool_or_named() -> None:
    text = bibliography(body(["vlmeval:MMStar", "vlmeval:BLINK", "lm-eval:gsm8k"]))
    assert {"duan2024vlmevalkit", "chen2024mmstar", "gao2024lmeval"} <= set(entries(text))
    assert any(line.endswith("papers of their own: lm-eval:gsm8k, vlmeval:BLINK.") for line in comments(text))


def test_a_task_whose_splits_cannot_be_listed_here_is_still_cited() -> None:
    def fail(*_: object) -> Mapping[str, Any]:
        raise RuntimeError("no data")

    tasks = [replace(fake_task(), name="odd", splits=fail, paper=PAPER)]
    text = bibliography(body(["odd:all"]), tasks=tasks, judges=[])
    assert "doe2024stairs" in entries(text)
    assert any("papers of their own: odd:all." in line for line in comments(text))


def test_a_suite_that_was_asked_is_cited() -> None:
    text = bibliography(body(["qbench:test"], suites={"general": {}, "safety": {}, "mine": {}}))
    assert "% judge mis; suite general; published numbers of qbench\n@misc{ding2025rethinking," in text


def test_a_published_source_that_is_no_known_paper_becomes_an_entry_of_its_title_and_address(tmp_path: Path) -> None:
    file = tmp_path / "published.yaml"
    rows = {"source": "page", "metrics": ["ASR"], "rows": {"A": {"easy": [5.0]}}}
    file.write_text(
        json.dumps({"sources": {"page": {"title": "A Board", "url": "https://e.x/b"}}, "tables": [rows]}), "utf-8"
    )
    task = replace(fake_task(), name="mis", published=file)
    found = entries(bibliography(tasks=[task], judges=[], suites=[]))
    assert found["source-a-board"] == {"title": "A Board", "url": "https://e.x/b"}
    file.write_text("sources: [", "utf-8")  # an unreadable file hides nothing else
    assert set(entries(bibliography(tasks=[task], judges=[], suites=[]))) == {"vlm-safety-harness"}


def test_a_paper_is_one_entry_however_many_plugins_name_it() -> None:
    tasks = [
        replace(fake_task(), name="a", paper=PAPER),
        replace(fake_task(), name="b", paper=replace(PAPER, key="other")),
        replace(fake_task(), name="c", paper=replace(PAPER, arxiv="")),
        replace(fake_task(), name="d", paper=replace(PAPER, arxiv="", key="third")),
    ]
    text = bibliography(body(["a:all", "b:all", "c:all", "d:all"]), tasks=tasks, judges=[])
    assert text.count("title = {Stairs}") == 2  # one with an address and one without


def test_two_papers_with_one_key_get_keys_that_do_not_depend_on_the_order_of_runs() -> None:
    other = replace(PAPER, key="Doe2024Stairs", title="Other Stairs", arxiv="2401.00002")  # BibTeX ignores the case
    tasks = [replace(fake_task(), name=name, paper=paper) for name, paper in (("a", PAPER), ("b", other))]
    both = body(["a:all"]), body(["b:all"])
    text = bibliography(*both, tasks=tasks, judges=[])
    assert text == bibliography(*reversed(both), tasks=tasks[::-1], judges=[])
    keys = list(entries(text))[1:]
    assert len({key.casefold() for key in keys}) == 2
    assert all(re.fullmatch(r"(?i)doe2024stairs-[0-9a-f]{6}", key) for key in keys)
    assert "doe2024stairs" in entries(bibliography(body(["a:all"]), tasks=tasks, judges=[]))


@pytest.mark.parametrize(
    ("paper", "lines"),
    [
        (
            PAPER,
            ["@misc{doe2024stairs,", "author = {Doe, Jane and von Berg, Ann},", "howpublished = {arXiv:2401.00001},"],
        ),
        (
            replace(PAPER, venue="Proceedings of X"),
            ["@inproceedings{", "booktitle = {Proceedings of X},", "eprint = {2401.00001},"],
        ),
        (replace(PAPER, journal="TMLR"), ["@article{", "journal = {TMLR},"]),
        (
            replace(PAPER, title="FigStep: Vision-Language and GPT-4V"),
            ["title = {{FigStep}: Vision-Language and {GPT-4V}},"],
        ),
        (replace(PAPER, authors=("Paul Röttger", "Paloma Jeretič")), [r"{R{\"o}ttger, Paul and Jereti{\v c}, Paloma}"]),
        (
            replace(PAPER, authors=("Foster and Sons,", "Ann Others")),
            ["author = {{Foster and Sons} and {Others}, Ann},"],
        ),
        (
            replace(PAPER, title="100% of {x} & \\y"),
            [r"{100\% of {\textbraceleft}x{\textbraceright} \& \textbackslash{}y}"],
        ),
        (replace(PAPER, url="https://e.x/a%20{b}?c=\\d"), ["url = {https://e.x/a%20%7Bb%7D?c=%5Cd},"]),
        (replace(PAPER, authors=(), year=None, arxiv=""), ["@misc{doe2024stairs,\n  title = {Stairs},\n}"]),
    ],
)
def test_an_entry_is_built_from_the_facts_that_are_there(paper: Paper, lines: list[str]) -> None:
    text = render_entry(paper)
    for line in lines:
        assert line in text


def test_bibtex_and_latex_set_the_papers_of_everything_that_is_packaged(tmp_path: Path) -> None:
    names = [f"{task.name}:{part}" for task, _ in HOST.offers("tasks") for part in ("all", "easy", "test")]
    made = body(names)
    made["judges"] = {judge.name: {"rubric": judge.name} for judge, _ in HOST.offers("judges")}
    text = bibliography(made)
    assert text.isascii()
    shown = typeset(text, tmp_path)
    assert shown.count(r"\bibitem") == len(entries(text)) >= 25
    assert r"Paul R{\"o}ttger" in " ".join(shown.split())
    assert "The vlm-safety-harness authors" in shown
    assert "arXiv:2501.18533" in shown  # also by a style that knows neither eprint nor url


@pytest.mark.parametrize("style", ["plain", "abbrv", "alpha"])
def test_a_strangers_paper_can_run_no_command_end_no_entry_and_begin_none(tmp_path: Path, style: str) -> None:
    tasks: list[Task] = []
    for number, text in enumerate(HOSTILE):
        paper = Paper(key=f"k{number}", title=text, authors=(text, f"{text} F"), venue=text, arxiv=f"2401.0000{number}")
        tasks.append(replace(fake_task(), name=f"t{number}", paper=paper))
    text = bibliography(body([f"{task.name}:all" for task in tasks]), tasks=tasks, judges=[])
    assert set(entries(text)) == {"vlm-safety-harness", "k0", "k1", "k2"}
    assert text.count("\n@") == 4
    assert typeset(text, tmp_path, style).count(r"\bibitem") == 4


def test_a_hostile_name_in_results_stays_a_comment() -> None:
    made = body(["a\n@misc{evil, title={x}}:all"])
    text = bibliography(made, tasks=[], judges=[], suites=[])
    assert text.count("\n@") == 1
    assert "@misc{evil" not in text


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "results.json").write_text(json.dumps(body()), encoding="utf-8")
    return tmp_path / "run"


def report(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["report", *map(str, arguments)])


def test_the_command_prints_it_or_writes_the_file(run: Path, tmp_path: Path) -> None:
    shown = report(run, "--bibtex")
    assert (shown.exit_code, shown.stderr) == (0, "")
    assert "@misc{ding2025rethinking," in shown.stdout
    for number, flags in enumerate((["--bibtex"], [])):  # the ending alone says it too
        file = tmp_path / f"refs{number}.bib"
        assert report(run, "--output", file, *flags).exit_code == 0
        assert file.read_text(encoding="utf-8") == shown.stdout


@pytest.mark.parametrize("flags", [["--format", "html"], ["--figures", "f"], ["--reveal"]])
def test_a_report_and_its_bibliography_are_two_commands(run: Path, flags: list[str]) -> None:
    done = report(run, "--bibtex", *flags)
    assert done.exit_code == 2
    assert f"leave out {flags[0]}" in done.stderr


def test_the_page_on_citing_shows_the_entries_that_a_report_writes() -> None:
    root = Path(__file__).parents[2]
    page = (root / "docs" / "how-to" / "cite.md").read_text(encoding="utf-8")
    version = yaml.safe_load((root / "CITATION.cff").read_text(encoding="utf-8"))["version"]
    written = bibliography(body(["mis:mini"], finished="2026-12-01T00:00:00Z", harness=str(version)))
    shown = re.findall(r"```bibtex\n(.*?)```", page, re.DOTALL)
    assert len(shown) == 2
    for entry in shown:
        assert entry in written
