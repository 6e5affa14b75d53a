from __future__ import annotations

import itertools
import re
from typing import Any

import numpy as np
import pytest
from harness_html.figures.theme import DARK, HIGH, LIGHT, VARIABLES, Theme, declare_variables

from tests.reports.figure_runs import drawn, everything


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
