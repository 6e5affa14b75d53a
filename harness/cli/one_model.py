"""Flags for commands that open one model outside a run; for authors of commands.

@click.command()
@model_flags
@click.pass_context
def command(ctx, /, **given):
    spec, policy = chosen(ctx, given)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from .config import schemes_flag, with_schemes
from .options import add_flags, parse_pairs, plugin_options

if TYPE_CHECKING:
    from harness.limits.endpoints import Policy
    from harness.models import ModelSpec

_F = TypeVar("_F", bound=Callable[..., Any])


def model_flags(function: _F) -> _F:
    """Add `--model -M --strategy -S --concurrency --config` and the flags of plugins."""

    def settings_flag(flag: str, name: str, text: str) -> Callable[[_F], _F]:
        def parse(_: click.Context, param: click.Parameter, texts: Sequence[str]) -> dict[str, str]:
            return parse_pairs(texts, param.opts[0])

        return click.option(flag, name, multiple=True, callback=parse, metavar="KEY=VALUE", help=text)

    return add_flags(
        function,
        click.option("--model", "ref", required=True, metavar="SCHEME/NAME", help="The model: see `harness models`."),
        settings_flag("-M", "model_settings", "Setting of the model's provider."),
        click.option("--strategy", default="", metavar="NAME", help="Strategy around the model."),
        settings_flag("-S", "strategy_settings", "Setting of the strategy."),
        click.option("--concurrency", type=click.IntRange(1), help="Most calls at once to the model."),
        schemes_flag,
        plugin_options,
    )


def chosen(ctx: click.Context, given: dict[str, Any]) -> tuple[ModelSpec, Policy]:
    """The model that the flags name, and the policy of its calls. Raises HarnessError; opens nothing."""
    from harness.limits import Policy
    from harness.models import ModelSpec

    with_schemes(ctx)
    spec = ModelSpec(
        ref=given["ref"],
        settings=given["model_settings"],
        strategy=given["strategy"],
        strategy_settings=given["strategy_settings"],
    )
    most: int | None = given["concurrency"]
    return spec, Policy(start=most, cap=most) if most else Policy()
