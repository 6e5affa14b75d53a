"""`--figures DIR` with a report that is a text: the figures are written, and the text links them."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote

import pytest
from click.testing import CliRunner, Result

from harness import HarnessError
from harness.board.figure_links import link_figures
from harness.cli import cli
from tests.reports.figure_runs import everything, hostile
from tests.tools import tool


@pytest.fixture
def runs(tmp_path: Path) -> list[str]:
    return write(everything(), tmp_path)


def write(bodies: Sequence[object], folder: Path) -> list[str]:
    paths: list[str] = []
    for place, body in enumerate(bodies):
        path = folder / f"run-{place}" / "results.json"
        path.parent.mkdir()
        path.write_text(json.dumps(body), encoding="utf-8")
        paths.append(str(path))
    return paths


def report(*flags: object) -> Result:
    return CliRunner().invoke(cli, ["report", *map(str, flags)])


def test_a_markdown_report_links_each_figure_with_its_caption(runs: list[str], tmp_path: Path) -> None:
    out, figures = tmp_path / "out" / "board.md", tmp_path / "the figures"
    done = report(*runs, "--output", out, "--figures", figures)
    assert done.exit_code == 0, done.output
    text = out.read_text(encoding="utf-8")
    links = re.findall(r"!\[([^\]]+)\]\(([^)]+)\)", text)
    assert len(links) == len(list(figures.glob("*.svg"))) > 6
    for _, path in links:
        assert (out.parent / unquote(path)).resolve().is_file()
        assert " " not in path
    assert text.index("### Data and licences") < text.index("### Figures") if "### Data" in text else True
    assert "**Safety against over-refusal.** Harm let through" in text


def test_without_figures_the_text_has_no_link(runs: list[str]) -> None:
    assert "Figures" not in report(*runs, "--format", "markdown").stdout


def test_a_latex_report_includes_its_figures_and_compiles(runs: list[str], tmp_path: Path) -> None:
    out = tmp_path / "board.tex"
    assert report(*runs, "--output", out, "--figures", tmp_path / "fi.gs").exit_code == 0
    page = tmp_path / "page.tex"
    packages = "\\usepackage{booktabs,graphicx}\\usepackage[T1]{fontenc}"
    page.write_text(f"\\documentclass{{article}}{packages}\\begin{{document}}\\input{{board}}\\end{{document}}")
    command = [tool("pdflatex"), "-no-shell-escape", "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert done.stdout.count(".png") >= len(list((tmp_path / "fi.gs").glob("*.png")))


def test_a_report_that_can_neither_draw_nor_link_is_refused_with_those_that_can(
    runs: list[str], tmp_path: Path
) -> None:
    done = report(*runs, "--format", "csv", "--figures", tmp_path / "figures")
    assert isinstance(done.exception, HarnessError)
    assert "report csv has no figures" in str(done.exception)
    assert done.exception.remedy == "give --format html or latex or markdown, which have them"
    assert not (tmp_path / "figures").exists()


def test_a_foreign_name_in_a_caption_does_nothing(tmp_path: Path) -> None:
    paths = write(hostile()[:6], tmp_path)
    text = report(*paths, "--format", "markdown", "--figures", tmp_path / "figures").stdout
    figures = text[text.index("### Figures") :]
    assert "<" not in figures
    assert len(re.findall(r"\]\(", figures)) == figures.count("![")


def test_a_file_that_is_no_drawing_is_not_linked() -> None:
    assert link_figures({"a.svg": b"<svg", "b.png": b""}, "figures", ".md") == ""
    drawing = b'<svg xmlns="http://www.w3.org/2000/svg" aria-label="T"><desc>C</desc></svg>'
    assert link_figures({"a.svg": drawing}, "f", ".csv") == ""
    assert "![T](f/a.svg)" in link_figures({"a.svg": drawing}, "f", ".md")
    assert link_figures({f"{place}.svg": drawing for place in range(30)}, "f", ".tex").count("clearpage") == 2
