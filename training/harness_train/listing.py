"""`harness train --list`: the methods, and what `-S` takes."""

from __future__ import annotations

import json
from collections.abc import Sequence

import click

from harness import Json, Setting, Trainer
from harness.cli.table import indented, table
from harness.plugins.host import Host
from harness.terminal import plain


def show(host: Host, method: str | None, *, as_json: bool) -> None:
    """Print all trainers, or one with its settings. Raises UnknownName."""
    offers: list[tuple[Trainer, str]] = host.offers("trainers")
    if method is not None:
        wanted = host.trainer(method)
        offers = [(trainer, plugin) for trainer, plugin in offers if trainer is wanted]
    if as_json:
        click.echo(json.dumps([_as_json(*offer) for offer in offers], indent=2, ensure_ascii=False))
        return
    rows = [[trainer.name, plugin, trainer.description] for trainer, plugin in offers]
    click.echo(plain(table(["METHOD", "PLUGIN", "DESCRIPTION"], rows)))
    if method is not None:
        click.echo(plain(_settings(offers[0][0].settings)))


def _settings(settings: Sequence[Setting]) -> str:
    rows = [[each.name, "|".join(each.choices) or each.type.__name__, _default(each), each.help] for each in settings]
    return "settings: -S KEY=VALUE\n" + indented(table(["KEY", "VALUE", "DEFAULT", "HELP"], rows))


def _default(setting: Setting) -> str:
    return "" if setting.default is None else str(setting.default)


def _as_json(trainer: Trainer, plugin: str) -> dict[str, Json]:
    return {
        "name": trainer.name,
        "description": trainer.description,
        "plugin": plugin,
        "exports": sorted(trainer.exports),
        "settings": [
            {
                "name": each.name,
                "type": each.type.__name__,
                "default": each.default,
                "identity": each.identity,
                "choices": list(each.choices),
                "help": each.help,
            }
            for each in trainer.settings
        ],
    }
