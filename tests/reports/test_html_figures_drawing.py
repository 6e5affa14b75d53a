from __future__ import annotations

import itertools
import re
import sys
import xml.etree.ElementTree as ET
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from harness_html.figures import Draft, draw_figures, write_figures
from harness_html.figures.charts import DARK, HIGH, LIGHT, VARIABLES, Theme, declare_variables
from harness_html.figures.readings import make_distinct, make_slug, shorten
from harness_html.figures.render import draw, widen
from harness_html.figures.scatter import Box, Mark, place_names, place_numbers
from PIL import Image, ImageOps

from harness import HarnessError
from harness.board.leaderboard import boards
from harness.plugins.host import Host, use
from harness.text import plain
from tests.reports.figure_runs import SVG, drawn, everything, hostile, mis, rate, run, words


def test_no_name_of_strangers_breaks_a_drawing() -> None:
    made = drawn(hostile())
    assert len(made) > 10
    for figure in made.values():
        assert re.fullmatch(r"[a-z0-9-]+", figure.name)
        told = [figure.title, figure.caption, *(cell for line in figure.table for cell in line)]
        assert all(text == plain(text) and "\n" not in text for text in told)
        for svg in (figure.svg, figure.page_svg):
            root = ET.fromstring(svg)
            tags = {element.tag.rpartition("}")[2] for element in root.iter()}
            assert tags <= {"svg", "g", "path", "rect", "line", "text", "desc"}
            for element in root.iter():
                assert not {"style", "href", "id", "class"} & {name.rpartition("}")[2] for name in element.attrib}
                assert not [name for name in element.attrib if name.startswith("on")]
            assert not set("\u202e\u2066\u200f\x00\x1b\ufffe\uffff") & set(svg)
            assert max(map(len, words(svg))) < 130


def test_long_names_keep_both_ends_and_two_that_look_alike_are_numbered() -> None:
    assert shorten("hf/org/" + "x" * 300 + "-7B-Instruct", 30).startswith("hf/org/")
    assert shorten("hf/org/" + "x" * 300 + "-7B-Instruct", 30).endswith("7B-Instruct"[-10:])
    assert len(shorten("x" * 300, 30)) == 30
    assert make_distinct(["a", "a", "b"]) == ["a", "a ·2", "b"]
    assert make_slug("Tradeoff", "mis:test (A)", "<b>") == "tradeoff-mis-test-a-b"


def test_the_same_results_give_the_same_bytes() -> None:
    made = boards(everything())
    assert draw_figures(made) == draw_figures(made)


def test_files_are_an_svg_and_a_png_of_twice_its_size_for_each_figure() -> None:
    made = boards([run("x/a", {"mis": mis(800)}), run("x/b", {"mis": mis(100)})])
    written, expected = write_figures(made), draw_figures(made)
    assert set(written) == {f"{figure.name}.{kind}" for figure in expected for kind in ("svg", "png")}
    for figure in expected:
        assert written[f"{figure.name}.svg"].decode() == figure.svg
        width = float(ET.fromstring(figure.svg).attrib["width"])
        png = Image.open(BytesIO(written[f"{figure.name}.png"]))
        assert 1.6 * width < png.width <= 2 * width
        assert ImageOps.invert(png).getbbox() == (20, 20, png.width - 20, png.height - 20)


def test_a_drawing_leaves_room_for_fonts_wider_than_the_librarys() -> None:
    text = f'<text text-anchor="end" font-size="10px" transform="translate(-8,0)">{"m" * 20}</text>'
    inside = f'<rect width="100" height="20"/><g transform="translate(50,10)">{text}</g>'
    root = ET.fromstring(f'<svg xmlns="{SVG}" width="100" height="20" viewBox="0 0 100 20">{inside}</svg>')
    widen(root)
    assert (root.get("width"), root.get("viewBox")) == ("190", "-90 0 190 20")
    assert (root[0].get("x"), root[0].get("width")) == ("-90", "190")


def test_a_drawing_whose_texts_keep_inside_keeps_its_size() -> None:
    root = ET.fromstring(f'<svg xmlns="{SVG}" width="100" height="20"><rect/><text x="9">a</text></svg>')
    root[1].set("transform", "translate(40,10)")
    widen(root)
    assert root.get("width") == "100"


def test_a_drawing_is_one_image_to_a_screen_reader_and_its_caption_lies_inside() -> None:
    for figure in drawn(everything()).values():
        root = ET.fromstring(figure.svg)
        assert (root.get("role"), root.get("aria-label")) == ("img", figure.title)
        assert root[0].tag.endswith("desc")
        assert root[0].text == figure.caption


def test_every_table_is_as_wide_as_its_head() -> None:
    for figure in drawn(everything()).values():
        assert len(figure.table) > 1
        assert {len(line) for line in figure.table} == {len(figure.table[0])}


def test_without_the_library_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    with pytest.raises(HarnessError) as raised:
        write_figures(boards(everything()))
    assert raised.value.remedy == "pip install 'vlm-safety-harness[figures]'"


def test_nothing_is_imported_that_draws_until_a_figure_is_drawn() -> None:
    import subprocess

    code = "import sys, harness_html, harness_html.figures; sys.exit('vl_convert' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_report_offers_its_figures_whatever_was_imported_before() -> None:
    with use(Host.load()) as host:
        offered = {report.name: report for report, _ in host.offers("reports")}
        assert offered["html"].figures is not None
        assert "forest-single.svg" in offered["html"].figures([run("x/a", {"mis": mis(10)})])


def test_a_chart_can_load_nothing() -> None:
    chart = {"data": {"url": "http://127.0.0.1:9/x.json"}, "mark": "point", "encoding": {}}
    with pytest.raises(ValueError, match="not allowed"):
        draw(Draft(name="x", title="x", caption="x", chart=chart, table=()))


def marks(*points: tuple[float, float]) -> list[Mark]:
    return [Mark(x=x, y=y, left=x - 8, right=x + 8, top=y - 8, bottom=y + 8) for x, y in points]


def test_names_of_points_cover_neither_each_other_nor_a_point() -> None:
    points = marks((50, 50), (60, 52), (300, 200), (390, 390))
    placed = place_names(points, ["a-model", "b-model", "c-model", "d-model"], 400)
    assert len(placed) == 4
    boxes = [Box(left=p.x, right=p.x + 5.6 * 7, top=p.y - 6, bottom=p.y + 6) for p in placed]
    for box, other in itertools.combinations([*boxes, *(mark.boxes[0] for mark in points)], 2):
        assert not box.covers(other) or {box, other} <= {mark.boxes[0] for mark in points}
    assert all(box.right <= 400 for box in boxes)


def test_numbers_of_models_at_one_point_in_a_corner_do_not_cover_each_other() -> None:
    marks = [Mark(x=0, y=0, left=0, right=25, top=0, bottom=120)] * 4
    places = [(each.x, each.y) for each in place_numbers(marks, 400)]
    for place, (x, y) in enumerate(places):
        assert all(abs(x - left) >= 5 or abs(y - top) >= 12 for left, top in places[:place])


def test_points_too_crowded_for_names_get_numbers_and_a_key() -> None:
    assert place_names(marks(*[(50, 50)] * 20), ["a-long-model-name"] * 20, 400) == ()
    refs = [f"x/a-rather-long-model-name-{place:02}" for place in range(12)]
    tasks = {"mis": mis(300), "over": rate("refusal_rate", 100, "lower")}
    found = words(drawn([run(ref, tasks) for ref in refs])["tradeoff-mis-over"].svg)
    assert "12" in found
    assert any(word.split() == ["12", refs[11]] for word in found)


def linear(colour: str) -> np.ndarray[Any, Any]:
    channels = np.array([int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)])
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    low, high = sorted(float(np.dot([0.2126, 0.7152, 0.0722], linear(colour))) for colour in (one, other))
    return (high + 0.05) / (low + 0.05)


#: how those see who lack one sort of cones: Machado, Oliveira and Fernandes 2009, severity 1, on linear RGB
SEEN = {
    "all cones": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
}


def lab(colour: str, seen: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = to_xyz @ np.clip(seen @ linear(colour), 0, 1) / np.array([0.9505, 1, 1.089])
    bent = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * bent[1] - 16, 500 * (bent[0] - bent[1]), 200 * (bent[1] - bent[2])])


THEMES = pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])


@THEMES
@pytest.mark.parametrize("seen", SEEN.values(), ids=SEEN)
def test_colours_that_must_be_told_apart_are_so_for_the_colour_blind(theme: Theme, seen: np.ndarray[Any, Any]) -> None:
    for held in (theme.series, theme.classes):
        for one, other in itertools.combinations(held, 2):
            assert np.linalg.norm(lab(one, seen) - lab(other, seen)) > 15, (one, other)


@THEMES
def test_text_and_marks_stand_out_from_what_is_behind_them(theme: Theme) -> None:
    for text in (theme.ink, theme.quiet):
        assert contrast(text, theme.ground) >= 4.5
    for mark in (*theme.series, theme.faint):
        assert contrast(mark, theme.ground) >= 3
    for place, step in enumerate(theme.steps):
        assert contrast(theme.on_high if place >= HIGH else theme.on_low, step) >= 4.5, step
    for text, fill in zip(theme.on_classes, theme.classes, strict=True):
        assert contrast(text, fill) >= 4.5, fill


@THEMES
def test_the_steps_of_a_heat_map_go_one_way(theme: Theme) -> None:
    levels = [contrast(step, theme.ground) for step in theme.steps]
    assert levels == sorted(levels)


def test_each_light_colour_is_one_variable_with_one_dark_counterpart() -> None:
    assert len(VARIABLES) == len(set(zip(LIGHT.colours, DARK.colours, strict=True)))
    declared = dict(pair.split(": ") for pair in declare_variables(DARK).strip(";").split("; "))
    assert set(declared) == set(VARIABLES.values())
    assert set(declared.values()) == set(DARK.colours)


def test_every_colour_of_a_drawing_is_of_the_theme() -> None:
    known = {*LIGHT.colours, *(f"var({name})" for name in VARIABLES.values()), "none", "transparent"}
    for figure in drawn(everything(), {"x/tuned": "x/base"}).values():
        for svg in (figure.svg, figure.page_svg):
            assert set(re.findall(r'(?:fill|stroke)="([^"]+)"', svg)) <= known, figure.name
        assert "#" not in "".join(re.findall(r'(?:fill|stroke)="([^"]+)"', figure.page_svg))
