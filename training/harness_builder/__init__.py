"""The dataset builder: new multi-image safety data in MIS's own layout, with every decision recorded.

Source: the four-step construction of MIS, arXiv 2501.18533 §3.2 and App. D.1. Prompts are in our own words.
`harness build` builds with any plugin's builder; `mis` is ours.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from harness import hookimpl

if TYPE_CHECKING:
    import click

    from harness import Build, Builder, Built


@hookimpl
def harness_builders() -> Iterable[Builder]:
    """Offer `mis`."""
    from harness import Builder, Setting

    finish = (
        "leave out elements that failed for a reason that may pass, or that got no usable reply, and complete the set "
        "without them"
    )
    return (
        Builder(
            name="mis",
            description="pairs of images that are risky only together, with MIS's layout and four steps",
            build=_build,
            plan=_plan,
            settings=(Setting(name="finish", type=bool, default=False, identity=False, help=finish),),
        ),
    )


@hookimpl
def harness_commands(cli: click.Group) -> None:
    """Add `harness build`."""
    from .command import command

    cli.add_command(command)


async def _build(build: Build) -> Built:
    from .building import build as build_set

    return await build_set(build)


def _plan(build: Build) -> str:
    from .building import plan

    return plan(build)
