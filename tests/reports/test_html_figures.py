"""The figures of a page: which are made, what they say, and how they are drawn."""

from __future__ import annotations

import itertools
import json
import random
import re
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from dataclasses import replace
from io import BytesIO
from typing import Any, Literal

import numpy as np
import pytest
from harness_html.figures import Looks, draw_figures, write_figures
from harness_html.figures.canvas import LOOKS, Look, fit, fit_apart, measure
from harness_html.figures.figure import shorten_refs
from harness_html.figures.labels import Box, place_labels
from harness_html.figures.readings import make_distinct, make_slug, read_kind, read_measure, shorten
from harness_html.figures.sides import average_readings
from PIL import Image, ImageOps

from harness import HarnessError
from harness.board.leaderboard import boards
from harness.board.palette import BAD, DARK, LIGHT, VARIABLES, Theme, choose_step, declare_variables
from harness.board.rows import Measure
from harness.keys import digest
from harness.plugins.host import Host, use
from harness.testing.results import metric
from harness.text import plain
from tests.golden import check
from tests.reports.figure_runs import (
    CROWDS,
    JUDGE,
    OTHER,
    SVG,
    by_category,
    crowd,
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
        "ASR % ↓ of 2 models on mis:easy; lower is better; judged by the rubric mis "
        "(this harness's own words, version 1), applied by openai-judge; n 1,000; lines are 95% intervals."
    )
    assert figure.table == (
        ("Model", "ASR % ↓", "n"),
        ("x/b", "10.0 [8.3, 12.0], 100 of 1,000", "1,000"),
        ("x/a", "80.0 [77.4, 82.4], 800 of 1,000", "1,000"),
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
    assert "hollow: not ranked, a subset or incomplete (1)" in figure.caption
    assert any("subset (limit 9)" in word for word in words(figure.svg))
    hollow = re.findall(rf'fill="{LIGHT.ground}" stroke="({"|".join(LIGHT.series)})"', figure.svg)
    assert len(hollow) == 1


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


def test_a_hundred_models_are_all_drawn_and_of_more_the_caption_says_which() -> None:
    refs = [f"x/{place:03}" for place in range(130)]
    tasks = [{"mis": mis(7 * place), "over": rate("refusal_rate", 3 * place, "lower")} for place in range(130)]
    runs = [run(ref, each) for ref, each in zip(refs, tasks, strict=True)]
    for name, figure in drawn(runs[:100]).items():
        assert len(figure.table) == 101, name
        assert " are drawn" not in figure.caption
    for name, figure in drawn(runs).items():
        shown = [line[0] for line in figure.table[1:]]
        assert (len(shown), len(set(shown)), shown[0], shown[-1]) == (100, 100, "x/000", "x/129"), name
        told = "100 of 130 models are drawn, taken evenly from the best to the worst, these two included"
        assert told in figure.caption


def test_a_model_without_a_number_on_one_axis_is_named_below_the_scatter() -> None:
    runs = [run(f"x/{name}", {"mis": mis(10), "over": rate("refusal_rate", 5, "lower")}) for name in "ab"]
    figure = drawn([*runs, run("x/alone", {"mis": mis(20)})])["tradeoff"]
    assert "not drawn, since a number is missing on one axis: x/alone" in figure.caption


def test_the_tradeoff_has_lines_of_equal_balanced_error() -> None:
    runs = [
        run("x/a", {"mis": mis(200), "over": rate("refusal_rate", 150, "lower")}),
        run("x/b", {"mis": mis(600), "over": rate("refusal_rate", 10, "lower")}),
    ]
    figure = drawn(runs)["tradeoff"]
    assert "the balanced error, is equal: there one is traded for the other" in figure.caption
    assert [line[-1] for line in figure.table] == ["Balanced error %", "25.0", "31.0"]
    lines = re.findall(
        r'd="M([\d.]+) ([\d.]+)L([\d.]+) ([\d.]+)" fill="none" stroke="[^"]+" stroke-dasharray', figure.svg
    )
    assert len(lines) == 9  # errors of 10 to 90
    for x1, y1, x2, y2 in lines:
        assert float(x2) - float(x1) == pytest.approx(float(y2) - float(y1), abs=0.3)


def test_two_runs_make_one_scatter_of_each_sort_over_the_splits_that_they_share() -> None:
    tasks = {
        "mis:easy": mis(100),
        "mis:hard": mis(300),
        "figstep": rate("ASR", 250, "lower"),
        "over:a": rate("refusal_rate", 50, "lower"),
        "over:b": rate("refusal_rate", 150, "lower"),
        "mmstar": rate("accuracy", 300, "higher"),
        "mmmu": rate("accuracy", 200, "higher"),
    }
    second = {name: body for name, body in tasks.items() if name != "figstep"}
    made = drawn([run("x/a", tasks), run("x/b", second)])
    assert [name for name, figure in made.items() if figure.headline] == ["tradeoff"]
    assert [name for name in made if name.startswith(("tradeoff", "ability"))] == ["tradeoff", "ability"]
    figure = made["tradeoff"]
    told = "the mean over the 2 splits that all these models share: ASR % ↓ on mis:easy, n 1,000; ASR % ↓ on mis:hard"
    assert told in figure.caption
    assert figure.table[1][1].startswith("20.0 [")
    assert figure.table[1][2].startswith("20.0 [")
    assert made["ability"].table[1][2].startswith("50.0 [")


def test_the_headline_figure_of_two_or_three_models_is_smaller_than_that_of_more() -> None:
    def height(count: int) -> float:
        figure = drawn(crowd([f"x/model-{place}" for place in range(count)]))["tradeoff"]
        return float(re.findall(r'viewBox="0 0 [\d.]+ ([\d.]+)"', figure.svg)[0])

    assert height(2) == height(3) < 0.7 * height(4) <= 0.7 * height(12)


def test_a_suites_mean_stands_for_its_group_of_splits() -> None:
    tasks = {"mis:easy": mis(100), "mis:hard": mis(300), "over": rate("refusal_rate", 50, "lower")}
    runs = [run("x/a", tasks), run("x/b", tasks)]
    for body in runs:
        number = metric(200, 1000, better="lower")
        whole = {key: number[key] for key in ("value", "unit", "better", "ci95", "ci95_worst")}
        of = {name: {"metric": "ASR", "value": 20.0} for name in ("mis:easy", "mis:hard")}
        body["suites"] = {"harm": {"mean": {**whole, "of": of, "missing": [], "complete": True}}}
    caption = drawn(runs)["tradeoff"].caption
    assert "the mean of suite harm over mis:easy, mis:hard" in caption


def test_a_split_that_says_what_it_asks_about_needs_no_known_metric() -> None:
    runs = [run(ref, {"odd": rate("mean_acc", 400, "higher"), "over": rate("x", 5, "lower")}) for ref in ("x/a", "x/b")]
    assert "tradeoff" not in drawn(runs)
    for body in runs:
        body["tasks"]["odd"]["splits"]["all"]["group"] = "safety"
        body["tasks"]["over"]["splits"]["all"]["group"] = "over-refusal"
    assert drawn(runs)["tradeoff"].table[1][1:3] == ("20.0 [16.7, 23.7], 100 of 500", "1.0 [0.4, 2.3], 5 of 500")


def test_a_mean_of_independent_numbers_has_a_narrower_interval_than_theirs() -> None:
    row = boards([run("x/a", {"mis": mis(200)})])[0].rows[0]
    one = read_measure(row.main)
    assert one is not None
    both = average_readings([one, one, one, one])
    assert both.value == pytest.approx(one.value)
    assert both.high - both.value == pytest.approx((one.high - one.value) / 2)


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
    figure = drawn(runs)["tradeoff"]
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
    assert "arrow" not in drawn(runs)["ability"].caption
    declared = drawn(runs, {"x/tuned": "x/base"})["ability"]
    assert "an arrow leads from a model to one that was tuned from it (1)" in declared.caption
    assert ["x/tuned", "x/base"] in [[line[0], line[-1]] for line in declared.table]
    arrow = rf'stroke="{LIGHT.ink}" stroke-width="1.4"/><path d="M[^"]+z" fill="{LIGHT.ink}"'
    assert len(re.findall(arrow, declared.svg)) == 1
    assert not re.findall(arrow, drawn(everything())["ability"].svg)


def test_an_arrow_finds_a_base_that_is_a_folder_by_its_files() -> None:
    runs = everything()
    base, tuned = runs[0]["model"], runs[1]["model"]
    files = {"model.safetensors": {"size": 1, "sha256": "a"}}
    base.update(ref="hf//disk/base", identity={"fingerprint": files})
    tuned["training"] = {"tuned_from": "hf/base", "trained_on": [], "base_files": digest(files)}
    figure = drawn(runs)["ability"]
    assert ["x/tuned", "hf//disk/base"] in [[line[0], line[-1]] for line in figure.table]
    base["identity"] = {"fingerprint": {**files, "adapter": {"model.safetensors": {"size": 1, "sha256": "b"}}}}
    assert "arrow" not in drawn(runs)["ability"].caption


def test_ability_is_a_suites_mean_and_without_one_the_accuracy() -> None:
    tasks = {"mis": mis(100), "mmstar": rate("accuracy", 300, "higher")}
    runs = [run("x/a", tasks), run("x/b", tasks)]
    assert "(accuracy % ↑ on mmstar, n 500)" in drawn(runs)["ability"].caption
    for body in runs:
        body["suites"] = mean(500)
    assert "general ability (the mean of suite general over a:b, c:d)" in drawn(runs)["ability"].caption


def test_a_mean_that_one_ref_names_twice_is_nobodys() -> None:
    runs = everything()
    twice = [*runs, {**runs[0], "model": {**runs[0]["model"], "strategy": "think", "identity": "k1:else"}}]
    figure = drawn(twice)["ability"]
    assert {line[0] for line in figure.table[1:]} == {"x/tuned", "y/other"}
    assert "not drawn, since a number is missing on one axis: x/base" in figure.caption


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


def test_categories_are_a_heat_map_from_three_models_on_and_lines_below_never_both() -> None:
    found = {"Violent": 10, "Privacy": 80}
    runs = [run(f"x/{name}", {"mis": by_category(found)}) for name in "abc"]
    for some in (runs[:1], runs[:2], runs):
        (name,) = [name for name in drawn(some) if name.startswith("categories")]
        figure = drawn(some)[name]
        assert figure.table[0] == ("Model", "Privacy (100)", "Violent (100)")
        assert {"Privacy (100)", "Violent (100)"} <= set(words(figure.svg))
        assert any(step in figure.svg for step in LIGHT.steps) == (len(some) == 3)
        assert ("lines are 95% intervals" in figure.caption) == (len(some) < 3)
    assert "blue is good and orange bad, darker is worse" in drawn(runs)["categories-mis"].caption


def test_the_colour_of_a_cell_says_good_or_bad_and_not_high_or_low() -> None:
    assert choose_step(2, (0, 100), "lower") == choose_step(98, (0, 100), "higher") == 0
    assert choose_step(98, (0, 100), "lower") == choose_step(2, (0, 100), "higher") == len(LIGHT.steps) - 1
    assert choose_step(50, (0, 100), "lower") == choose_step(50, (0, 100), "higher")
    assert choose_step(50, (0, 100), "neither") is None


def test_a_category_that_a_training_left_out_is_marked_at_that_models_number_alone() -> None:
    found = {"mis": by_category({"Self-Harm": 10, "Privacy": 80})}
    training = {"tuned_from": "x/base", "trained_on": [], "held_out": ["self_harm"]}
    base, tuned = run("x/base", found), run("x/tuned", found)
    assert "‡" not in json.dumps([each.table for each in drawn([base, tuned]).values()])
    tuned["model"]["training"] = training
    figures = drawn([base, tuned])
    three = drawn([base, tuned, run("x/third", found)])
    for figure in (figures["categories-mis"], three["categories-mis"]):
        cells = {line[0]: line[1:] for line in figure.table}
        assert [cells[model][1].count("‡") for model in ("x/base", "x/tuned")] == [0, 1]
        assert not any("‡" in cells[model][0] for model in ("x/base", "x/tuned"))
        assert "‡ the training of the model left this category out" in figure.caption
        assert sum("‡" in each for each in words(figure.svg)) == 1
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


def test_a_mean_over_seeds_has_a_tick_for_each_of_its_runs() -> None:
    body = run("x/a", {"mis": mis(200)}, identity="k1:a")
    body["tasks"]["mis"]["splits"]["all"]["metrics"]["ASR"]["seeds"] = {"values": [18.0, 20.0, 22.0], "sd": 2.0}
    figure = drawn([body, run("x/b", {"mis": mis(500)})])["forest-mis"]
    assert "small ticks are the runs of a mean over seeds" in figure.caption
    ticks = re.findall(rf'd="M([\d.]+) [\d.]+V[\d.]+" fill="none" stroke="{LIGHT.ink}"', figure.svg)
    assert len(ticks) == 3
    assert float(ticks[2]) - float(ticks[1]) == pytest.approx(0.02 * 320, abs=0.2)


def test_the_captions_tables_and_charts_of_every_sort_of_figure_stay_as_they_are() -> None:
    figures = drawn(everything(), {"x/tuned": "x/base"}).values()
    told = [
        "\n".join([f"{each.name}: {each.title}", each.caption, *map(" | ".join, each.table), digest(each.svg)])
        for each in figures
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
        for svg in filter(None, (figure.svg, figure.page_svg, figure.narrow, figure.page_narrow)):
            root = ET.fromstring(svg)
            tags = {element.tag.rpartition("}")[2] for element in root.iter()}
            assert tags <= {"svg", "g", "path", "rect", "text", "tspan", "desc"}
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
        assert 1.4 * width < png.width <= 2.1 * width
        assert ImageOps.invert(png).getbbox() == (20, 20, png.width - 20, png.height - 20)


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


def test_no_name_of_a_point_lies_on_another_name_or_on_a_point() -> None:
    area = Box(left=0, top=0, right=640, bottom=520)
    rng = random.Random(3)
    clouds = [
        [(50.0, 50.0), (52.0, 51.0), (300.0, 200.0), (515.0, 515.0), (2.0, 2.0)],
        [(260.0, 260.0)] * 2,
        [(0.0, 520.0)] * 30,
        [(rng.uniform(0, 520), rng.uniform(0, 520)) for _ in range(50)],
        [(rng.gauss(150, 40), rng.gauss(400, 40)) for _ in range(100)],
    ]
    for points in clouds:
        placed = place_labels(points, [120.0] * len(points), [13.0] * len(points), area)
        boxes = [each.box for each in placed]
        assert all(area.holds(box) for box in boxes)
        assert not [1 for one, other in itertools.combinations(boxes, 2) if one.covers(other)]
        dots = [Box(left=x - 4, top=y - 4, right=x + 4, bottom=y + 4) for x, y in points]
        assert not [1 for box in boxes for dot in dots if box.covers(dot)]
        led = [(each.box, each.leader) for each in placed if each.leader is not None]
        assert not [1 for own, line in led for box in boxes if box != own and box.meets(line)]
    assert all(each.named for each in place_labels(clouds[1], [120.0] * 2, [13.0] * 2, area))


def test_a_point_without_room_for_its_name_gets_a_number_and_a_line_in_the_key() -> None:
    refs = [f"x/a-rather-long-model-name-{place:02}" for place in range(40)]
    tasks = {"mis": mis(300), "over": rate("refusal_rate", 100, "lower")}
    found = words(drawn([run(ref, tasks) for ref in refs])["tradeoff"].svg)
    names = [word for word in found if word.startswith("a-rather")]
    numbers = [word for word in found if word.isdigit() and f"{int(word) - 1:02}" in {name[-2:] for name in names}]
    assert sorted(names) == sorted(ref.removeprefix("x/") for ref in refs)
    assert numbers


def test_the_same_model_has_the_same_mark_in_all_figures() -> None:
    runs = [run(f"x/m{place}", {"mis:easy": mis(10 * place), "mis:hard": mis(900 - 10 * place)}) for place in range(9)]
    looks = {str(look.number): look for board in boards(runs) for look in map(Looks(boards(runs)).of, board.rows)}
    figures = [figure for figure in drawn(runs).values() if not figure.name.startswith("judges")]
    assert len(figures) >= 5
    for figure in figures:
        drawings: dict[str, str] = {}
        for group in ET.fromstring(figure.svg).iter(f"{{{SVG}}}g"):
            number = group.get("data-model", "")
            drawings[number] = drawings.get(number, "") + ET.tostring(group, encoding="unicode")
        assert len(drawings) == 9
        for number, drawing in drawings.items():
            assert {colour for colour in LIGHT.series if colour in drawing} == {looks[number].colour}
    marks = {(Look(number=number).shape, Look(number=number).colour) for number in range(LOOKS)}
    assert len(marks) == LOOKS >= 100


def test_all_axes_of_percent_reach_from_0_to_100() -> None:
    runs = [run(ref, {"mis": mis(20), "over": rate("refusal_rate", 5, "lower")}) for ref in ("x/a", "x/b")]
    for figure in drawn(runs).values():
        assert {"0", "100"} <= set(words(figure.svg)), figure.name


def test_names_are_as_short_as_still_tells_them_apart() -> None:
    assert shorten_refs(["hf/Qwen/VL-7B", "hf/Qwen/VL-72B", "gpt-4o"]) == ["VL-7B", "VL-72B", "gpt-4o"]
    assert shorten_refs(["hf/a/x", "hf/b/x", "hf/b/x (seed=1)"]) == ["a/x", "b/x", "x (seed=1)"]
    assert fit_apart(["a" * 50 + "7B", "a" * 51 + "7B"], 100)[1].endswith(" ·2")
    assert measure("模型" * 4) == pytest.approx(80)
    for name in ("hf/org/" + "x" * 300 + "-7B", "模型" * 100):
        assert measure(fit(name, 150)) <= 150


@pytest.mark.parametrize("refs", CROWDS.values(), ids=CROWDS)
def test_no_text_of_a_drawing_lies_on_another_or_leaves_it(refs: Sequence[str]) -> None:
    for figure in drawn(crowd(refs)).values():
        for svg in filter(None, (figure.svg, figure.narrow)):
            root = ET.fromstring(svg)
            width, height = float(root.get("width", "0")), float(root.get("height", "0"))
            boxes = list(find_boxes(root))
            whole = Box(left=0, top=0, right=width, bottom=height)
            assert not [text for text, box in boxes if not whole.holds(box)], figure.name
            lying = [(a, b) for (a, one), (b, other) in itertools.combinations(boxes, 2) if one.covers(other)]
            assert not lying, (figure.name, lying[:3])
        narrow = ET.fromstring(figure.narrow or figure.svg)
        assert float(narrow.get("width", "0")) <= 340, figure.name


def find_boxes(root: ET.Element) -> Iterator[tuple[str, Box]]:
    """Each text of a drawing with the area that its letters can cover."""
    for element in root.iter(f"{{{SVG}}}text"):
        size, y = float(element.get("font-size", "10")), float(element.get("y", "0"))
        parts = [(float(part.get("x", "0")), part.text or "") for part in element]
        for x, text in parts or [(float(element.get("x", "0")), element.text or "")]:
            width = measure(text, size, bold=element.get("font-weight") is not None)
            left = x - {"end": width, "middle": width / 2}.get(element.get("text-anchor", ""), 0.0)
            box = Box(left=left, top=y - 0.74 * size, right=left + width, bottom=y + 0.2 * size)
            if "rotate" in element.get("transform", ""):
                down = y + (x - left)
                box = Box(left=x - 0.74 * size, top=down - width, right=x + 0.2 * size, bottom=down)
            yield text, box


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
    for mark in (*theme.series, theme.faint, theme.people):
        assert contrast(mark, theme.ground) >= 3
    for place, step in enumerate(theme.steps):
        assert contrast(theme.on_bad if place >= BAD else theme.on_good, step) >= 4.5, step
    for text, fill in zip(theme.on_classes, theme.classes, strict=True):
        assert contrast(text, fill) >= 4.5, fill


@THEMES
@pytest.mark.parametrize("seen", SEEN.values(), ids=SEEN)
def test_good_and_bad_are_told_apart_by_all_eyes_and_in_grey_print(theme: Theme, seen: np.ndarray[Any, Any]) -> None:
    levels = [float(lab(step, np.eye(3))[0]) for step in theme.steps]
    assert levels == sorted(levels, reverse=theme is LIGHT)
    assert min(abs(one - other) for one, other in itertools.pairwise(levels)) > 3.5
    good, bad = theme.steps[:4], theme.steps[5:]
    for one, other in itertools.product(good, bad):
        assert np.linalg.norm(lab(one, seen) - lab(other, seen)) > 15, (one, other)


def test_bars_of_classes_side_by_side_are_told_apart_in_grey_print() -> None:
    levels = [float(lab(colour, np.eye(3))[0]) for colour in LIGHT.classes]
    assert min(abs(one - other) for one, other in itertools.pairwise(levels)) > 14


def test_each_light_colour_is_one_variable_with_one_dark_counterpart() -> None:
    assert len(VARIABLES) == len(set(zip(LIGHT.colours, DARK.colours, strict=True)))
    declared = dict(pair.split(": ") for pair in declare_variables(DARK).strip(";").split("; "))
    assert set(declared) == set(VARIABLES.values())
    assert set(declared.values()) == set(DARK.colours)


def test_every_colour_of_a_drawing_is_of_the_theme() -> None:
    known = {*LIGHT.colours, *(f"var({name})" for name in VARIABLES.values()), "none", "transparent"}
    for figure in drawn(everything(), {"x/tuned": "x/base"}).values():
        for svg in (figure.svg, figure.page_svg, figure.narrow, figure.page_narrow):
            assert set(re.findall(r'(?:fill|stroke)="([^"]+)"', svg)) <= known, figure.name
        assert "#" not in "".join(re.findall(r'(?:fill|stroke)="([^"]+)"', figure.page_svg))
