"""The list commands: `harness models`, `tasks`, `judges` and `painters` are one command over kinds of offers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import click

from harness.errors import UnknownName
from harness.plugins.host import Host
from harness.settings import nearest
from harness.text import plain
from harness.types import Json, Setting

from .groups import Group
from .options import loaded, plugin_options
from .stdout import show
from .table import indented, table

_T = TypeVar("_T")
_F = Callable[..., Any]


def _unchanged(function: _F) -> _F:
    return function


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing(Generic[_T]):
    """How one kind is listed.

    Attributes:
        kind: as `Host.offers` calls it.
        key: the field that holds the name.
        columns: header -> cell, between name and plugin.
        facts: what `--json` and the details add, by name; plain JSON.
        details: the sections a detailed view adds.
        flag: how the command line sets a setting of it.
        settings: what it takes.
        host: what loads the offers.
        flags: adds what `host` needs of the command line.
        name: what the names of this kind are listed as.
        below: another kind that is listed below this one, by names that are all different.
    """

    kind: str
    key: str = "name"
    columns: Mapping[str, Callable[[_T], str]]
    facts: Callable[[_T], Mapping[str, Json]]
    details: Callable[[_T], str]
    flag: Callable[[_T], str]
    settings: Callable[[_T], Sequence[Setting]] = lambda item: getattr(item, "settings", ())
    host: Callable[[click.Context], Host] = loaded
    flags: Callable[[_F], _F] = _unchanged
    name: str = "NAME"
    below: Listing[Any] | None = None

    @property
    def every(self) -> tuple[Listing[Any], ...]:
        """This kind and the one below it."""
        return (self,) if self.below is None else (self, self.below)


def list_command(listing: Listing[Any], text: str) -> click.Group:
    """The group `harness KIND` with its command `list`; without a command it lists too."""

    @click.group(cls=Group, name=listing.kind, help=text, invoke_without_command=True)
    @click.option("--json", "as_json", is_flag=True, help="Print JSON.")
    @listing.flags
    @plugin_options
    @click.pass_context
    def group(ctx: click.Context, as_json: bool) -> None:
        if ctx.invoked_subcommand is None:
            show_offers(listing.host(ctx), listing, (), as_json)

    @group.command("list", help=text)
    @click.argument("names", nargs=-1)
    @click.option("--json", "as_json", is_flag=True, help="Print JSON.")
    @listing.flags
    @plugin_options
    @click.pass_context
    def list_(ctx: click.Context, names: tuple[str, ...], as_json: bool) -> None:
        parent = ctx.parent.params.get("as_json") if ctx.parent else False
        show_offers(listing.host(ctx), listing, names, as_json or bool(parent))

    @group.command("show", help="Show some in detail.")
    @click.argument("names", nargs=-1, required=True)
    @click.option("--json", "as_json", is_flag=True, help="Print JSON.")
    @listing.flags
    @plugin_options
    @click.pass_context
    def show(ctx: click.Context, names: tuple[str, ...], as_json: bool) -> None:
        parent = ctx.parent.params.get("as_json") if ctx.parent else False
        show_offers(listing.host(ctx), listing, names, as_json or bool(parent))

    del list_, show
    return group


def show_offers(host: Host, listing: Listing[Any], names: Sequence[str], as_json: bool) -> None:
    """Print a table of all offers of a kind, or the details of some. Raises UnknownName."""
    offers = {
        getattr(item, each.key): (each, item, plugin)
        for each in listing.every
        for item, plugin in host.offers(each.kind)
    }
    for name in names:
        _insist(host, listing, name, offers)
    chosen = [offers[name] for name in names or offers]
    if as_json:
        show(json.dumps([_as_json(host, *offer) for offer in chosen], indent=2, ensure_ascii=False), raw=True)
    elif names:
        show("\n\n".join(_detailed(host, *offer) for offer in chosen))
    else:
        show("\n\n".join(_table(each, host) for each in listing.every if each is listing or host.offers(each.kind)))


def _table(listing: Listing[Any], host: Host) -> str:
    header = [listing.name, *listing.columns, "PLUGIN", "DESCRIPTION"]
    rows = [
        [getattr(item, listing.key), *(cell(item) for cell in listing.columns.values()), plugin, item.description]
        for item, plugin in host.offers(listing.kind)
    ]
    return table(header, rows)


def _insist(host: Host, listing: Listing[Any], name: str, offers: Mapping[str, object]) -> None:
    if name in offers:
        return
    one = {
        "models": host.provider,
        "tasks": host.task,
        "judges": host.judge,
        "suites": host.suite,
        "painters": host.painter,
        "builders": host.builder,
    }
    disputed = (each.kind for each in listing.every if name in host.clashes(each.kind))
    one[next(disputed, listing.kind)](name)  # raises, and says whether it is unknown, disputed or of a failed plugin
    raise UnknownName(f"{name!r} is not among the {listing.kind}", remedy=nearest(name, offers))


def _as_json(host: Host, listing: Listing[_T], item: _T, plugin: str) -> dict[str, Json]:
    source = host.source(plugin)
    return {
        "name": getattr(item, listing.key),
        "description": getattr(item, "description", ""),
        **listing.facts(item),
        "settings": [_setting(setting) for setting in listing.settings(item)],
        "plugin": {"name": plugin, "distribution": source.distribution, "version": source.version},
    }


def _setting(setting: Setting) -> dict[str, Json]:
    default = str(setting.default) if isinstance(setting.default, Path) else setting.default
    return {
        "name": setting.name,
        "type": setting.type.__name__,
        "default": default,
        "identity": setting.identity,
        "choices": list(setting.choices),
        "least": setting.least,
        "help": setting.help,
    }


def _detailed(host: Host, listing: Listing[_T], item: _T, plugin: str) -> str:
    name = getattr(item, listing.key)
    head = f"{name}: {getattr(item, 'description', '')}\n  plugin {plugin} ({host.source(plugin).origin})"
    parts = [head, listing.details(item), _settings(listing.settings(item), listing.flag(item))]
    return plain("\n".join(part for part in parts if part))


def _settings(settings: Sequence[Setting], flag: str) -> str:
    if not settings:
        return ""
    rows = [
        [
            setting.name,
            _accepted(setting),
            "" if setting.default is None else str(setting.default),
            "identity" if setting.identity else "transport",
            setting.help,
        ]
        for setting in settings
    ]
    return indented(f"settings: {flag}\n{indented(table(['KEY', 'VALUE', 'DEFAULT', 'COUNTS AS', 'HELP'], rows))}")


def _accepted(setting: Setting) -> str:
    kind = "|".join(setting.choices) or setting.type.__name__
    return kind if setting.least is None else f"{kind} ≥ {setting.least:g}"
