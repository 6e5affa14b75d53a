"""`harness build --list`: the builders, and what `-S` takes."""

from __future__ import annotations

import click

from harness import Builder
from harness.cli.listing import Listing, show_offers
from harness.cli.options import loaded

_LISTING: Listing[Builder] = Listing(
    kind="builders",
    columns={},
    facts=lambda _: {},
    details=lambda builder: f"  harness build {builder.name} --config FILE --out DIR",
    flag=lambda _: "-S KEY=VALUE",
)


def show(ctx: click.Context, name: str | None, *, as_json: bool) -> None:
    """Print all builders, or one with its settings. Raises UnknownName."""
    show_offers(loaded(ctx), _LISTING, () if name is None else (name,), as_json)
