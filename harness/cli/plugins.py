"""`harness plugins`: what is installed, what is wrong with it, and a new one to begin with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import click

from harness.plugins.host import Host
from harness.plugins.loader import Fault, Source
from harness.plugins.registry import KINDS
from harness.text import plain
from harness.types import Json

from . import CORE
from .groups import Group
from .options import loaded, plugin_options
from .stdout import show, tell
from .table import indented, table

#: kinds of `plugins new`; `plugin_skeleton.KINDS` has what each begins with, and is imported on use
KINDS_OF_NEW = ("model", "task", "judge", "strategy", "report", "trainer", "builder")


@click.group(cls=Group, name="plugins", invoke_without_command=True)
@plugin_options
@click.pass_context
def command(ctx: click.Context) -> None:
    """List plugins, diagnose them, or begin a new one."""
    if ctx.invoked_subcommand is None:
        _show(_checked(ctx), as_json=False)


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@plugin_options
@click.pass_context
def list_(ctx: click.Context, as_json: bool) -> None:
    """List every plugin with its distribution, its state and what it offers."""
    _show(_checked(ctx), as_json=as_json)


@command.command()
@plugin_options
@click.pass_context
def doctor(ctx: click.Context) -> int:
    """Show all that is wrong with plugins, and which are slow; exit 2 when something is wrong."""
    host = _checked(ctx, quiet=True)
    slow = [_slow(source, stages) for source, stages in host.slow().items()]
    if not host.faults:
        show("\n".join([f"{len(host.plugins)} plugins, nothing wrong", *slow]))
        return 0
    show("\n\n".join([*(_told(fault) for fault in host.faults), *slow]))
    return 2


@command.command()
@click.argument("name")
@click.option(
    "--kind",
    "kinds",
    type=click.Choice(list(KINDS_OF_NEW)),
    multiple=True,
    help="What it offers; repeatable. Without it: a model, a task and a judge.",
)
@click.option("--output", type=click.Path(path_type=Path), default=None, help="Folder to make; default harness-NAME.")
@click.pass_context
def new(ctx: click.Context, name: str, kinds: tuple[str, ...], output: Path | None) -> None:
    """Begin a plugin: a package that works, with tests that hold it to its contracts."""
    from .plugin_skeleton import USUAL, write

    folder = write(name, kinds or USUAL, _checked(ctx, quiet=True), output)
    code = next(each for each in folder.glob("harness_*") if each.is_dir())
    show(f"wrote {folder}")
    tell(f"try it: harness plugins list --plugin {code}")
    tell(f"install it and run its tests: pip install -e '{folder}[test]' && pytest {folder}")


def _checked(ctx: click.Context, *, quiet: bool = False) -> Host:
    host = loaded(ctx, quiet=quiet)
    host.check()
    host.commands(CORE)
    return host


def _show(host: Host, *, as_json: bool) -> None:
    rows = [*_loaded(host), *_not_loaded(host)]
    if as_json:
        show(json.dumps(rows, indent=2, ensure_ascii=False), raw=True)
        return
    cells = [[row["name"], row["distribution"], row["version"], row["state"], _offers(row["offers"])] for row in rows]
    show(table(["PLUGIN", "DISTRIBUTION", "VERSION", "STATE", "OFFERS"], cells))


def _loaded(host: Host) -> list[dict[str, Json]]:
    offers: dict[str, dict[str, list[str]]] = {}
    for kind in KINDS.values():
        for item, plugin in host.offers(kind.name):
            offers.setdefault(plugin, {}).setdefault(kind.name, []).append(getattr(item, kind.key))
    for name, (_, source) in host.commands(CORE).items():
        offers.setdefault(source.name, {}).setdefault("commands", []).append(name)
    faulty = {fault.source for fault in host.faults}
    return [
        _row(source, "faulty" if source in faulty else "ok", offers.get(source.name, {})) for source in host.plugins
    ]


def _not_loaded(host: Host) -> list[dict[str, Json]]:
    stages = ("import", "register")
    failed = {fault.source for fault in host.faults if fault.stage in stages} - {*host.plugins}
    rows = [_row(source, "failed", {}) for source in sorted(failed, key=lambda source: source.name)]
    return [*rows, *(_row(source, "blocked", {}) for source in host.blocked)]


def _row(source: Source, state: str, offers: dict[str, list[str]]) -> dict[str, Json]:
    return {
        "name": source.name,
        "distribution": source.distribution,
        "version": source.version,
        "state": state,
        "offers": offers,
    }


def _offers(offers: dict[str, list[str]]) -> str:
    return "; ".join(f"{kind}: {', '.join(names)}" for kind, names in offers.items())


def _slow(source: Source, stages: Mapping[str, float]) -> str:
    took = ", ".join(f"{seconds:.1f} s at {stage}" for stage, seconds in stages.items() if seconds >= 0.05)
    return plain(f"{source.name} ({source.origin}) is slow: {took}")


def _told(fault: Fault) -> str:
    parts = [f"{fault.source.name} ({fault.source.origin}), at {fault.stage}: {fault.what}"]
    if fault.remedy:
        parts.append(indented(fault.remedy))
    if fault.story:
        parts.append(indented(fault.story.rstrip()))
    return plain("\n".join(parts))
