"""The figures of a page: which are made, what they say, and how they are drawn."""

from __future__ import annotations

import itertools
import json
import re
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from io import BytesIO
from typing import Any, Literal

import numpy as np
import pytest
from harness_html.figures import Draft, draw_figures, write_figures
from harness_html.figures.charts import DARK, HIGH, LIGHT, VARIABLES, Theme, declare_variables
from harness_html.figures.readings import make_distinct, make_slug, read_kind, read_measure, shorten
from harness_html.figures.render import draw, widen
from harness_html.figures.scatter import Box, Mark, place_names, place_numbers
from PIL import Image, ImageOps

from harness import HarnessError
from harness.board.leaderboard import boards
from harness.board.rows import Measure
from harness.keys import digest
from harness.plugins.host import Host, use
from harness.testing.results import metric
from harness.text import plain
from tests.golden import check
from tests.reports.figure_runs import (
    JUDGE,
    OTHER,
    SVG,
    by_category,
    declare_tuned,
    drafted,
    drawn,
    everything,
    hostile,
    mean,
    mis,
    rate,
    run,
    words,
)


def test_every_sort_of_figure_is_made_where_the_data_has_it() -> None:
    sorts = {name.partition("-")[0] for name in drawn(everything())}
    assert sorts == {"forest", "splits", "tradeoff", "ability", "classes", "categories", "judges"}


def test_nothing_is_drawn_of_nothing() -> None:
    assert draw_figures((), ()) == ()
    assert draw_figures(boards([run("x/a", {"mis:easy": mis(0, complete=False, metrics={})})])) == ()


def test_a_scatter_needs_both_axes_and_two_models() -> None:
    only_safety = drawn([run("x/a", {"mis": mis(10)}), run("x/b", {"mis": mis(20)})])
    one_model = drawn([run("x/a", {"mis": mis(10), "over": rate("refusal_rate", 5, "lower")})])
    apart_models = drawn([run("x/a", {"mis": mis(10)}), run("x/b", {"over": rate("refusal_rate", 5, "lower")})])
    for made in (only_safety, one_model, apart_models):
        assert not [name for name in made if name.startswith(("tradeoff", "ability"))]


def test_a_forest_shows_each_model_with_its_interval_and_says_how_to_read_it() -> None:
    figure = drawn([run("x/a", {"mis:easy": mis(800)}), run("x/b", {"mis:easy": mis(100)})])["forest-mis-easy"]
    shown_words = words(figure.svg)
    assert shown_words.index("x/b") < shown_words.index("x/a")
    assert "10.0 [8.3, 12.0]" in shown_words
    assert "ASR % ↓ on mis:easy" in shown_words
    assert figure.caption == (
        "ASR % ↓ of 2 models on mis:easy; lower is better; judged by mis (own rubric v1) by openai-judge; n 1,000; "
        "lines are 95% intervals."
    )
    assert figure.table == (
        ("Model", "ASR % ↓", "n"),
        ("x/b", "10.0 [8.3, 12.0]", "1,000"),
        ("x/a", "80.0 [77.4, 82.4]", "1,000"),
    )


def test_an_interval_is_the_worst_case_where_something_is_unresolved_and_the_caption_says_so() -> None:
    runs = [run("x/a", {"mis": mis(800, unresolved=10)}), run("x/b", {"mis": mis(100), "n": mis(1)})]
    runs[1]["tasks"]["mis"]["splits"]["all"]["n"] = runs[0]["tasks"]["mis"]["splits"]["all"]["n"]
    figure = drawn(runs)["forest-mis"]
    main = next(row.main for row in boards(runs)[0].rows if row.ref == "x/a")
    assert main is not None
    assert main.ci95_worst[0] is not None
    assert f"[{main.ci95_worst[0]:.1f}, " in {line[0]: line[1] for line in figure.table}["x/a"]
    assert main.ci95_worst[0] < (main.ci95[0] or 0)
    assert "in 1 of 2 of them the worst case over what is unresolved" in figure.caption


def test_what_is_not_ranked_is_hollow_and_named() -> None:
    subset = run("x/b", {"mis": mis(100)})
    subset["tasks"]["mis"]["splits"]["all"]["subset"] = {"limit": 9}
    figure = drawn([run("x/a", {"mis": mis(800)}), subset])["forest-mis"]
    assert "hollow and grey: not ranked, a subset or incomplete (1)" in figure.caption
    assert any("subset (limit 9)" in word for word in words(figure.svg))
    assert f'fill="{LIGHT.ground}" stroke="{LIGHT.faint}"' in figure.svg


def test_boards_of_one_row_stand_together_each_in_its_own_panel() -> None:
    made = drawn([run("x/a", {"mis": mis(10), "figstep": rate("ASR", 5, "lower")})])
    assert "forest-mis" not in made
    assert {"mis: ASR % ↓", "figstep: ASR % ↓"} <= set(words(made["forest-single"].svg))


def test_no_panel_holds_two_classes_of_comparability() -> None:
    runs = [run(f"x/{judge}{place}", {"mis": mis(100 + place)}, judge) for judge in (JUDGE, OTHER) for place in (1, 2)]
    made = drawn(runs)
    assert {name for name in made if name.startswith("forest")} == {"forest-mis-a", "forest-mis-b"}
    for figure in made.values():
        models = {line[0] for line in figure.table[1:]}
        assert len({JUDGE in model for model in models}) == 1


def test_beyond_thirty_models_the_best_are_drawn_and_the_rest_counted() -> None:
    figure = drawn([run(f"x/{place:02}", {"mis": mis(10 * place)}) for place in range(1, 36)])["forest-mis"]
    assert len(figure.table) == 31
    assert figure.table[1][0] == "x/01"
    assert "and 5 more models not drawn" in figure.caption


def test_the_tradeoff_has_lines_of_equal_balanced_error() -> None:
    runs = [
        run("x/a", {"mis": mis(200), "over": rate("refusal_rate", 150, "lower")}),
        run("x/b", {"mis": mis(600), "over": rate("refusal_rate", 10, "lower")}),
    ]
    figure = drawn(runs)["tradeoff-mis-over"]
    assert "the balanced error, is equal: there one is traded for the other" in figure.caption
    assert [line[-1] for line in figure.table] == ["Balanced error %", "25.0", "31.0"]
    lines = re.findall(
        r'<line transform="translate\(([\d.]+),([\d.]+)\)" x2="([-\d.]+)" y2="([-\d.]+)" stroke="[^"]+" '
        r'stroke-dasharray="3,3"',
        figure.svg,
    )
    assert len(lines) == 6  # errors of 10 to 60, on axes to 70
    for _, _, across, down in lines:
        assert float(across) == pytest.approx(float(down))


@pytest.mark.parametrize(
    ("name", "better", "count", "value"),
    [
        ("refusal_rate", "lower", 100, "20.0"),
        ("answered_rate", "higher", 100, "80.0"),
        ("safe_acc", "higher", 100, "80.0"),
    ],
)
def test_over_refusal_is_known_by_the_metric_and_its_direction(
    name: str, better: Literal["lower", "higher"], count: int, value: str
) -> None:
    runs = [run(ref, {"mis": mis(100), "third-party": rate(name, count, better)}) for ref in ("x/a", "x/b")]
    figure = drawn(runs)["tradeoff-mis-third-party"]
    assert figure.table[1][2].startswith(value)


def test_a_refusal_that_is_right_is_safety_and_no_over_refusal() -> None:
    row = boards([run("x/a", {"xstest:unsafe": rate("refusal_rate", 400, "higher")})])[0].rows[0]
    unsafe = read_kind(row, "unsafe")
    assert unsafe is not None
    assert (unsafe.label, unsafe.better) == ("100 \N{MINUS SIGN} refusal_rate", "lower")
    assert unsafe.value == pytest.approx(20)
    assert read_kind(row, "over_refusal") is None


def test_a_turned_number_turns_its_interval_too() -> None:
    measure = Measure(
        name="safe_rate",
        unit="%",
        better="higher",
        main=True,
        value=90.0,
        ci95=(85.0, 93.0),
        ci95_worst=(80.0, 94.0),
        bounds=(None, None),
        numerator=90,
        denominator=100,
        unresolved=0,
    )
    found = read_measure(measure, flipped=True)
    assert found is not None
    assert (found.value, found.low, found.high) == (10.0, 7.0, 15.0)
    wide = read_measure(replace(measure, unresolved=3), flipped=True)
    assert wide is not None
    assert (wide.low, wide.high, wide.stretched) == (6.0, 20.0, True)


def test_an_arrow_leads_from_a_model_to_what_was_tuned_from_it() -> None:
    runs = everything()
    assert "arrow" not in drawn(runs)["ability-mis-easy-a-suite-general"].caption
    declared = drawn(runs, {"x/tuned": "x/base"})["ability-mis-easy-a-suite-general"]
    assert "an arrow leads from a model to one that was tuned from it (1)" in declared.caption
    assert ["x/tuned", "x/base"] in [[line[0], line[-1]] for line in declared.table]
    assert declared.svg.count(LIGHT.series[1]) == 2  # a line and its head


def test_an_arrow_finds_a_base_that_is_a_folder_by_its_files() -> None:
    runs = everything()
    base, tuned = runs[0]["model"], runs[1]["model"]
    files = {"model.safetensors": {"size": 1, "sha256": "a"}}
    base.update(ref="hf//disk/base", identity={"fingerprint": files})
    tuned["training"] = {"tuned_from": "hf/base", "trained_on": [], "base_files": digest(files)}
    figure = drawn(runs)["ability-mis-easy-a-suite-general"]
    assert ["x/tuned", "hf//disk/base"] in [[line[0], line[-1]] for line in figure.table]
    base["identity"] = {"fingerprint": {**files, "adapter": {"model.safetensors": {"size": 1, "sha256": "b"}}}}
    assert "arrow" not in drawn(runs)["ability-mis-easy-a-suite-general"].caption


def test_ability_is_a_suites_mean_and_without_one_the_accuracy() -> None:
    tasks = {"mis": mis(100), "mmstar": rate("accuracy", 300, "higher")}
    runs = [run("x/a", tasks), run("x/b", tasks)]
    assert "ability-mis-mmstar" in drawn(runs)
    for body in runs:
        body["suites"] = mean(500)
    made = drawn(runs)
    assert "ability-mis-suite-general" in made
    assert "ability-mis-mmstar" not in made


def test_a_mean_that_one_ref_names_twice_is_nobodys() -> None:
    runs = everything()
    twice = [*runs, {**runs[0], "model": {**runs[0]["model"], "strategy": "think", "identity": "k1:else"}}]
    figure = drawn(twice)["ability-mis-easy-a-suite-general"]
    assert {line[0] for line in figure.table[1:]} == {"x/tuned", "y/other"}


def test_the_classes_and_the_block_sum_to_100() -> None:
    figure = drawn([run("x/a", {"mis": mis(800)}), run("x/b", {"mis": mis(100)})])["classes-mis"]
    assert figure.table[0] == ("Model", "ASR %", "RSR %", "RR %", "HR %", "BLK %", "n")
    for line in figure.table[1:]:
        assert sum(float(share) for share in line[1:-1]) == pytest.approx(100, abs=0.3)
    assert {"ASR unsafe", "BLK blocked"} <= {" ".join(word.split()) for word in words(figure.svg)}


def test_classes_that_do_not_sum_to_100_are_no_figure() -> None:
    odd = mis(800)
    odd["metrics"]["HR"] = metric(500, 1000, better="lower")
    assert "classes-mis" not in drawn([run("x/a", {"mis": odd})])


def test_categories_are_a_heat_map_and_panels_or_one_panel_for_one_model() -> None:
    first = run("x/a", {"mis": by_category({"Violent": 10, "Privacy": 80})})
    second = run("x/b", {"mis": by_category({"Violent": 30, "Privacy": 90})})
    both, one = drawn([first, second]), drawn([first])
    assert both["categories-mis"].table[0] == ("Model", "Privacy (100)", "Violent (100)")
    assert {"categories-panels-mis"} == {name for name in both if "panels" in name}
    assert not [name for name in one if "panels" in name]
    assert {"Privacy (100)", "Violent (100)"} <= set(words(one["categories-mis"].svg))


def test_a_category_that_a_training_left_out_is_marked_at_that_models_number_alone() -> None:
    found = {"mis": by_category({"Self-Harm": 10, "Privacy": 80})}
    training = {"tuned_from": "x/base", "trained_on": [], "held_out": ["self_harm"]}
    base, tuned = run("x/base", found), run("x/tuned", found)
    assert "‡" not in json.dumps([each.table for each in drawn([base, tuned]).values()])
    tuned["model"]["training"] = training
    figures = drawn([base, tuned])
    for name in ("categories-mis", "categories-panels-mis"):
        cells = {line[0]: line[1:] for line in figures[name].table}
        assert [cells[model][1].count("‡") for model in ("x/base", "x/tuned")] == [0, 1]
        assert not any("‡" in cells[model][0] for model in ("x/base", "x/tuned"))
        assert "‡ the training of the model left this category out" in figures[name].caption
        assert sum("‡" in each for each in words(figures[name].svg)) == 1
    alone = drawn([tuned])["categories-mis"]
    assert sum("‡" in each for each in words(alone.svg)) == 1


def test_a_category_that_a_model_lacks_is_an_empty_cell() -> None:
    first = run("x/a", {"mis": by_category({"Violent": 10, "Privacy": 80})})
    second = run("x/b", {"mis": by_category({"Violent": 30})})
    cells = {line[0]: line[1:] for line in drawn([first, second])["categories-mis"].table}
    assert cells["x/b"][0] == "—"


def test_judges_of_the_same_answers_span_a_range() -> None:
    figure = drawn(everything())["judges-mis-easy"]
    mine, other = (f"mis (own rubric v1) by openai-{name}" for name in ("judge", "other"))
    assert figure.table[0] == ("Model", mine, other, "Range")
    ranges = [(line[0], line[-1]) for line in figure.table[1:]]
    assert ranges == [("x/tuned", "2.3"), ("y/other", "30.9"), ("x/base", "63.5")]
    assert "as each of 2 judges reads the same answers" in figure.caption


def test_two_judges_of_one_name_are_two() -> None:
    runs = everything()
    for body in runs:
        body["judges"][OTHER] = body["judges"][JUDGE]
    head = drawn(runs)["judges-mis-easy"].table[0]
    assert head[2] == f"{head[1]} ·2"


def test_splits_of_one_task_stand_side_by_side_and_a_pooled_one_does_not() -> None:
    body = run("x/a", {"mis:easy": mis(10), "mis:hard": mis(20), "mis:test": mis(30)})
    body["tasks"]["mis"]["splits"]["test"]["parts"] = ["easy", "hard"]
    assert drawn([body])["splits-mis"].table == (
        ("Model", "easy", "hard"),
        ("x/a", "1.0 [0.5, 1.8]", "2.0 [1.3, 3.1]"),
    )


def test_splits_of_opposite_directions_are_no_siblings() -> None:
    tasks = {"xstest:safe": rate("refusal_rate", 5, "lower"), "xstest:unsafe": rate("refusal_rate", 400, "higher")}
    assert not [name for name in drawn([run("x/a", tasks)]) if name.startswith("splits")]


def test_the_captions_tables_and_charts_of_every_sort_of_figure_stay_as_they_are() -> None:
    drafts = drafted(declare_tuned(everything(), {"x/tuned": "x/base"}))
    told = [
        "\n".join([f"{each.name}: {each.title}", each.caption, *map(" | ".join, each.table), digest(each.chart)])
        for each in drafts
    ]
    check("figures.txt", "\n\n".join(told) + "\n")


# -- Drawing -----------------------------------------------------------------------------------------------------------


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
