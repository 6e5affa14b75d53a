"""Flags that `run` and `judge` share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from .configured import configured
from .values import Devices, JudgeName, Names, Pairs, names, pairs

__all__ = ["judging_flags", "names", "pairs"]

_F = TypeVar("_F", bound=Callable[..., Any])


_FLAGS = (
    click.option(
        "--judge",
        "judges",
        type=JudgeName(),
        multiple=True,
        envvar="HARNESS_JUDGE",
        metavar="MODEL|RUBRIC|RUBRIC=MODEL",
        help="Who judges; repeatable, the first is the primary one. No judge's model is ever assumed.",
    ),
    click.option(
        "-J",
        "judge_settings",
        multiple=True,
        callback=Pairs(dotted=True),
        metavar="[RUBRIC.]KEY=VALUE",
        help="Setting of the judge's provider, or temperature, max_tokens, top_p, seed.",
    ),
    click.option(
        "-T",
        "task_settings",
        multiple=True,
        callback=Pairs(dotted=True),
        metavar="NAME.KEY=VALUE",
        help="Setting of a task or a rubric; NAME.data is a task's folder, NAME.judge its rubric.",
    ),
    click.option(
        "--data",
        type=click.Path(path_type=Path, file_okay=False),
        envvar="HARNESS_DATA",
        help="Data folder: a task's data lies in DATA/<task>.",
    ),
    click.option(
        "--devices",
        type=Devices(),
        default="",
        metavar="N[,…]",
        help="CUDA devices of local models and judges: one replica on each, or as replicas=N shares them out.",
    ),
    click.option("--concurrency", type=click.IntRange(1), help="Most calls at once to one endpoint."),
    click.option(
        "--min-coverage",
        type=click.FloatRange(0, 1),
        show_default="0.98; judge: the run's",
        help="Share of records that must be resolved; below it the run is incomplete (exit 3).",
    ),
    click.option(
        "--retry",
        type=Names(),
        default="",
        metavar="NAME[,NAME]",
        help="Outcomes or judge states to try again beside error, bad_sample and judge_error.",
    ),
    click.option("--json", "as_json", is_flag=True, help="Print results.json instead of a table."),
    click.option(
        "--config",
        type=click.Path(path_type=Path, dir_okay=False),
        is_eager=True,
        expose_value=False,
        callback=configured,
        help="YAML with the flags' names as keys; default ./harness.yaml over the user's.",
    ),
)


def judging_flags(function: _F) -> _F:
    """Add `--judge -J -T --data --devices --min-coverage --concurrency --retry --json --config`."""
    for flag in reversed(_FLAGS):
        function = flag(function)
    return function
