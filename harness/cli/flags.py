"""Flags that `run` and `judge` share, and how their text becomes values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from harness.config import load
from harness.errors import HarnessError

_F = TypeVar("_F", bound=Callable[..., Any])


def judging_flags(function: _F) -> _F:
    """Add `--judge -J -T --data --min-coverage --concurrency --retry --json --config`."""
    flags = (
        click.option(
            "--judge",
            "judges",
            multiple=True,
            envvar="HARNESS_JUDGE",
            metavar="MODEL|RUBRIC|RUBRIC=MODEL",
            help="Who judges; repeatable, the first is the primary one. No judge's model is ever assumed.",
        ),
        click.option(
            "-J",
            "judge_settings",
            multiple=True,
            metavar="[RUBRIC.]KEY=VALUE",
            help="Setting of the judge's provider, or temperature, max_tokens, top_p, seed.",
        ),
        click.option(
            "-T",
            "task_settings",
            multiple=True,
            metavar="NAME.KEY=VALUE",
            help="Setting of a task or a rubric; NAME.data is a task's folder, NAME.judge its rubric.",
        ),
        click.option(
            "--data",
            type=click.Path(path_type=Path, file_okay=False),
            envvar="HARNESS_DATA",
            help="Data folder: a task's data lies in DATA/<task>.",
        ),
        click.option("--concurrency", type=click.IntRange(1), help="Most calls at once to one endpoint."),
        click.option(
            "--min-coverage",
            type=click.FloatRange(0, 1),
            default=0.98,
            show_default=True,
            help="Share of records that must be resolved; below it the run is incomplete (exit 3).",
        ),
        click.option(
            "--retry",
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
            callback=_configured,
            help="YAML with the flags' names as keys; default ./harness.yaml over the user's.",
        ),
    )
    for flag in reversed(flags):
        function = flag(function)
    return function


def pairs(texts: Sequence[str] | dict[str, Any], flag: str) -> dict[str, Any]:
    """`KEY=VALUE` texts, or a mapping of the config, as a dict. Raises HarnessError for one without `=`."""
    if isinstance(texts, dict):
        return dict(texts)
    found: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise HarnessError(f"{flag} {text}: not KEY=VALUE", remedy=f"write {flag} key=value")
        found[key] = value
    return found


def names(text: str | Sequence[str]) -> tuple[str, ...]:
    """`a,b` as names, blanks dropped; a list of the config as it is."""
    parts = text.split(",") if isinstance(text, str) else text
    return tuple(name.strip() for part in parts for name in str(part).split(",") if name.strip())


def _configured(ctx: click.Context, _: click.Parameter, explicit: Path | None) -> Path | None:
    """Put the config under the flags: click takes it where neither flag nor environment says otherwise."""
    flags = {
        (max(parameter.opts, key=len).lstrip("-").replace("-", "_")): parameter
        for parameter in ctx.command.params
        if isinstance(parameter, click.Option)
    }
    values = load(explicit, {*flags, "suites"} - {"config", "help"})
    ctx.obj = {"suites": values.pop("suites", {})}
    ctx.default_map = {str(flags[key].name): _as_flag(value) for key, value in values.items()}
    return explicit


def _as_flag(value: Any) -> Any:
    """A mapping is what `KEY=VALUE` flags spell out."""
    return [f"{key}={item}" for key, item in value.items()] if isinstance(value, dict) else value
