"""The dataset builder: new multi-image safety data in MIS's own layout, with every decision recorded.

Source: the four-step construction of MIS, arXiv 2501.18533 §3.2 and App. D.1. Prompts are in our own words.
`harness build` builds with any plugin's builder; `mis` is ours.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from harness import Builder, hookimpl

if TYPE_CHECKING:
    import click


@hookimpl
def harness_builders() -> Iterable[Builder]:
    """Offer `mis`."""
    from harness_builder.offer import BUILDER

    return (BUILDER,)


@hookimpl
def harness_commands(cli: click.Group) -> None:
    """Add `harness build`."""
    from .command import command

    cli.add_command(command)
