"""`harness plugins`: lists plugins, diagnoses them, and creates a new one."""

from __future__ import annotations

import json
from pathlib import Path

import click

from harness.plugins.host import Host
from harness.plugins.registry import KINDS
from harness.text import plain
from harness.types import Json

from .options import Group, load_commands, load_host, plugin_options, show_examples
from .plugin_skeleton import KINDS as KINDS_OF_NEW
from .plugin_skeleton import USUAL, write_plugin
from .stdout import indented, show, table, tell


@click.group(
    cls=Group,
    name="plugins",
    invoke_without_command=True,
    epilog=show_examples("harness plugins", "harness plugins doctor --plugin my_task.py"),
)
@plugin_options
@click.pass_context
def command(ctx: click.Context) -> None:
    """List plugins, diagnose them, or create a new one."""
    if ctx.invoked_subcommand is None:
        _show_list(_load_checked_host(ctx), as_json=False)


@command.command(
    "list", epilog=show_examples("harness plugins list", "harness plugins list --json --plugin my_task.py")
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@plugin_options
@click.pass_context
def list_(ctx: click.Context, as_json: bool) -> None:
    """List every plugin with its distribution, its state and what it offers."""
    _show_list(_load_checked_host(ctx), as_json=as_json)


@command.command(epilog=show_examples("harness plugins doctor", "harness plugins doctor --plugin my_task.py"))
@plugin_options
@click.pass_context
def doctor(ctx: click.Context) -> int:
    """Show all faults of plugins, and slow plugins; exit 2 if there is a fault."""
    host = _load_checked_host(ctx, quiet=True)
    slow: list[str] = []
    for source, stages in host.slow().items():
        times = ", ".join(f"{seconds:.1f} s at {stage}" for stage, seconds in stages.items() if seconds >= 0.05)
        slow.append(plain(f"{source.name} ({source.origin}) is slow: {times}"))
    if not host.faults:
        show("\n".join([f"{len(host.plugins)} plugins, nothing wrong", *slow]))
        return 0
    faults: list[str] = []
    for fault in host.faults:
        head = f"{fault.source.name} ({fault.source.origin}), at {fault.stage}: {fault.what}"
        details = [indented(text) for text in (fault.remedy, fault.story.rstrip()) if text]
        faults.append(plain("\n".join([head, *details])))
    show("\n\n".join([*faults, *slow]))
    return 2


@command.command(
    epilog=show_examples("harness plugins new kitchen", "harness plugins new kitchen --kind task --output .")
)
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
    """Create a plugin: a package that works, with tests that check its contracts."""
    folder = write_plugin(name, kinds or USUAL, _load_checked_host(ctx, quiet=True), output)
    code = next(each for each in folder.glob("harness_*") if each.is_dir())
    show(f"wrote {folder}")
    tell(f"try it: harness plugins list --plugin {code}")
    tell(f"install it and run its tests: pip install -e '{folder}[test]' && pytest {folder}")


def _load_checked_host(ctx: click.Context, *, quiet: bool = False) -> Host:
    """The host with the faults of everything that its plugins offer, commands too."""
    host = load_host(ctx, quiet=quiet)
    host.check()
    load_commands(host)
    return host


def _show_list(host: Host, *, as_json: bool) -> None:
    offers: dict[str, dict[str, list[str]]] = {}
    for kind in KINDS.values():
        for item, plugin in host.offers(kind.name):
            offers.setdefault(plugin, {}).setdefault(kind.name, []).append(getattr(item, kind.key))
    for name, (_, source) in load_commands(host).items():
        offers.setdefault(source.name, {}).setdefault("commands", []).append(name)
    faulty = {fault.source for fault in host.faults}
    failed = {fault.source for fault in host.faults if fault.stage in ("import", "register")} - {*host.plugins}
    states = [
        *((source, "faulty" if source in faulty else "ok") for source in host.plugins),
        *((source, "failed") for source in sorted(failed, key=lambda source: source.name)),
        *((source, "blocked") for source in host.blocked),
    ]
    rows: list[dict[str, Json]] = [
        {
            "name": source.name,
            "distribution": source.distribution,
            "version": source.version,
            "state": state,
            "offers": offers.get(source.name, {}) if state in ("ok", "faulty") else {},
        }
        for source, state in states
    ]
    if as_json:
        show(json.dumps(rows, indent=2, ensure_ascii=False), raw=True)
        return
    cells: list[list[str]] = []
    for row in rows:
        every = "; ".join(f"{kind}: {', '.join(names)}" for kind, names in row["offers"].items())
        cells.append([row["name"], row["distribution"], row["version"], row["state"], every])
    show(table(["PLUGIN", "DISTRIBUTION", "VERSION", "STATE", "OFFERS"], cells))
