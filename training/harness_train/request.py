"""The flags of `harness train` as a Training and the trainer that is meant, and the list of trainers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click

from harness import HarnessError, Trainer, Training, UnknownName, plugins
from harness.cli.stdout import indented, table
from harness.files import resolve_name
from harness.plugins.host import Host
from harness.settings import effective, nearest
from harness.text import plain

OWN: Final = "method"  #: the setting by which a trainer takes a method from a file


def build_request(host: Host, method: str | None, given: dict[str, Any]) -> tuple[Trainer, Training]:
    """The trainer and the training that the flags ask for.

    Raises:
        HarnessError: something is missing, unknown, or does not go together.
    """
    if method is None:
        raise HarnessError("no method to train by", remedy="name one of `harness train --list`")
    own: dict[str, str] = {}
    if method.endswith((".yaml", ".yml")):
        trainers: list[Trainer] = [trainer for trainer, _ in host.offers("trainers")]
        found = [each for each in trainers if any(setting.name == OWN for setting in each.settings)]
        if len(found) != 1:
            what = f"{len(found)} trainers take a method from a file"
            raise HarnessError(what, remedy=f"name one, with -S {OWN}={method}")
        trainer, own = found[0], {OWN: method}
    else:
        trainer = host.trainer(method)
    export_only = given["export"] is not None and not given["dry_run"]  # the data depend on no model
    for flag in ("out",) if export_only else ("model", "out"):
        if not given[flag]:
            raise HarnessError(f"--{flag} is missing", remedy="see `harness train --help`")
    training = Training(
        model=given["model"],
        data=parse_data(given["data"]),
        out=resolve_name(given["out"]),
        recipe=given["recipe"],
        overrides=given["overrides"],
        settings=effective(trainer.settings, {**given["settings"], **own}, owner=f"the trainer {trainer.name}"),
        hold_out=given["hold_out"],
        seed=given["seed"],
        resume=given["resume"],
        launch=given["launch"],
    )
    layout = given["export"]
    if layout is not None and layout not in trainer.exports:
        raise UnknownName(f"{trainer.name} writes no {layout!r}", remedy=nearest(layout, trainer.exports))
    return trainer, training


def parse_data(texts: Sequence[str]) -> dict[str, Path]:
    """`[NAME=]PATH` texts by name; a path that exists as a whole has no name.

    Raises:
        HarnessError: a name is given twice, or there is nothing at a path.
    """
    found: dict[str, Path] = {}
    for text in texts:
        name, equals, path = text.partition("=")
        if not equals or "/" in name or Path(text).exists():
            name, path = "", text
        if name in found:
            raise HarnessError(f"--data {name or 'PATH'} is given twice", remedy="give a name to each: NAME=PATH")
        found[name] = Path(path).expanduser()
        if not found[name].exists():
            raise HarnessError("there is no data", where=path, remedy="--data takes a folder or a file")
    return found


def name_model(model: str) -> str:
    """What is trained, as a run names it: a folder or a hub id is one of `hf/`."""
    scheme = model.partition("/")[0]
    known = {provider.scheme for provider, _ in plugins.current().offers("models")}
    return model if scheme in known and not Path(model).is_dir() else f"hf/{model}"


def show_list(host: Host, method: str | None, *, as_json: bool) -> None:
    """Print all trainers, or one with what `-S` takes. Raises UnknownName."""
    offers: list[tuple[Trainer, str]] = host.offers("trainers")
    if method is not None:
        wanted = host.trainer(method)
        offers = [(trainer, plugin) for trainer, plugin in offers if trainer is wanted]
    if as_json:
        listed = [
            {
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
            for trainer, plugin in offers
        ]
        click.echo(json.dumps(listed, indent=2, ensure_ascii=False))
        return
    rows = [[trainer.name, plugin, trainer.description] for trainer, plugin in offers]
    click.echo(plain(table(["METHOD", "PLUGIN", "DESCRIPTION"], rows)))
    if method is not None:
        rows = [
            [
                each.name,
                "|".join(each.choices) or each.type.__name__,
                "" if each.default is None else str(each.default),
                each.help,
            ]
            for each in offers[0][0].settings
        ]
        settings = indented(table(["KEY", "VALUE", "DEFAULT", "HELP"], rows))
        click.echo(plain(f"settings: -S KEY=VALUE\n{settings}"))
