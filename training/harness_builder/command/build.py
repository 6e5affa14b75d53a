"""`harness build BUILDER`: the same flags for every builder, and what is said at the end; and `harness build --list`.

`--fresh` moves what a build keeps to go on with to another folder and deletes nothing; what people decided stays where
it is.
"""

from __future__ import annotations

import copy
import gc
import json
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from harness import HarnessError, UnknownName
from harness.cli.listing import Listing, show_offers
from harness.cli.options import load_host, parse_pairs, plugin_options
from harness.cli.stdout import table
from harness.settings import effective, nearest
from harness.text import one_line, plain, say

from . import COMMANDS

if TYPE_CHECKING:
    from harness import Build, Builder, Built
    from harness.evaluation.samples import Stop

_SELDOM: Final = (20_000, 10, 5)  # objects more than go, and rounds, until cycles are looked for


class _BuildCommand(click.Command):
    """A command under the name of a builder, which may turn out to be none."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does it; a name that nobody offers is told before what is wrong with its flags."""
        try:
            return super().parse_args(ctx, args)
        except click.UsageError:
            _find_builder(ctx)
            raise

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """What the builder says of itself, above what holds for all."""
        builder = _find_builder(ctx)
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text(f"{one_line(builder.name)}: {one_line(builder.description)}.")
        super().format_help_text(ctx, formatter)


def _settings(_: click.Context, param: click.Parameter, texts: tuple[str, ...]) -> dict[str, str]:
    return parse_pairs(texts, param.opts[0])


@click.command(cls=_BuildCommand)
@click.option(
    "--config", type=click.Path(path_type=Path, dir_okay=False), required=True, metavar="FILE", help="What to build."
)
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), required=True, metavar="DIR", help="Folder of the set."
)
@click.option(
    "--accept-licence",
    "accepted",
    multiple=True,
    metavar="SOURCE",
    help="Use this source although its licence forbids it, or nobody knows it; repeatable.",
)
@click.option("-S", "settings", multiple=True, callback=_settings, metavar="KEY=VALUE", help="Setting of the builder.")
@click.option("--dry-run", is_flag=True, help="Show what would be built and what it may take, and ask nobody.")
@click.option("--fresh", is_flag=True, help="Put aside what is kept of calls, and begin anew; reviews stay.")
@click.option("--push", default="", metavar="OWNER/NAME", help="Then put the set on the hub, private and gated.")
@click.option("--public", is_flag=True, help="With --push: let everybody see its page; the files stay gated.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@plugin_options
@click.pass_context
def _command(ctx: click.Context, /, **given: Any) -> int:
    """The same command again goes on where it ended, and repeats no call that was finished.

    stdout: how many records each file holds; stderr: how far it is, and what is still open. Exit codes: 0 done, 2 you
    can mend it, 3 done but incomplete, 130 interrupted.
    """
    if given["public"] and not given["push"]:
        raise click.UsageError("--public says nothing without --push")
    from harness import Build
    from harness.evaluation.samples import Stop

    builder, stop = _find_builder(ctx), Stop()
    if given["push"]:
        from harness_builder.output import check_push

        check_push(given["push"])
    build = Build(
        config=given["config"],
        out=given["out"],
        accepted=given["accepted"],
        settings=effective(builder.settings, given["settings"], owner=f"the builder {builder.name}"),
        tell=_tell,
        ending=lambda: stop.asked,
    )
    if given["dry_run"]:
        click.echo(plain(builder.plan(build)))
        return 0
    if given["fresh"]:
        builder.plan(build)  # a config that cannot be used moves nothing
        move_work(build.out, tell=build.tell)
    built = _run(builder, build, stop)
    address = ""
    if given["push"] and not built.open:
        from harness_builder.output import push

        try:
            address = push(built.folder, given["push"], public=given["public"], tell=_tell)
        except HarnessError:  # the set is told before what went wrong
            _print(built, "", as_json=given["as_json"])
            raise
    _print(built, address, as_json=given["as_json"])
    if built.open and given["push"]:
        _tell("not pushed: the set is not complete")
    return 3 if built.open else 0


def build_command(name: str) -> click.Command:
    """The command that builds by the builder of this name."""
    made = copy.copy(_command)
    made.name = name
    return made


def _find_builder(ctx: click.Context) -> Builder:
    """The builder that the command is called like.

    Raises:
        UnknownName: nobody offers it.
    """
    host, name = load_host(ctx), str(ctx.command.name)
    known = {builder.name for builder, _ in host.offers("builders")} | set(host.clashes("builders"))
    remedy = nearest(name, [*COMMANDS, *known])
    if name not in known and remedy in {f"did you mean {each!r}?" for each in COMMANDS}:
        raise UnknownName(f"{name!r} is no builder and no command of `harness build`", remedy=remedy)
    return host.builder(name)


def _tell(line: str) -> None:
    click.echo(plain(line), err=True)


def _run(builder: Builder, build: Build, stop: Stop) -> Built:
    """Build. Raises KeyboardInterrupt where a person ended it before it was whole."""
    from harness.cli.interrupt import interruptible, resume_hint

    async def body() -> Built:
        return await builder.build(build)

    # what a call makes goes when it is over; looking for cycles among it took a twentieth of a build's time
    gc.set_threshold(*_SELDOM)
    hint = resume_hint(("harness", *sys.argv[1:]))
    try:
        built = interruptible(body, stop)
    except KeyboardInterrupt:
        say(hint, err=True)
        raise
    except HarnessError as error:
        if stop.asked:
            error.remedy = "\n  ".join(filter(None, (error.remedy, hint)))
        raise
    if stop.asked and built.open:
        say(hint, err=True)
        raise KeyboardInterrupt
    return built


def _print(built: Built, address: str, *, as_json: bool) -> None:
    if as_json:
        said = {"folder": str(built.folder), "records": dict(built.records), "open": list(built.open)}
        click.echo(json.dumps(said | {"pushed": address or None}, ensure_ascii=False, indent=1))
    else:
        rows = [[name, str(count)] for name, count in built.records.items()]
        click.echo(plain(table(["FILE", "RECORDS"], rows)) if rows else "no records")
        if address:
            click.echo(plain(f"pushed: {address}"))
    for line in built.open:
        _tell(f"open: {line}")
    _tell(f"set: {built.folder}")


def move_work(out: Path, *, tell: Callable[[str], None]) -> None:
    """Rename the folder `work/` of a build to `work.1`, or the next free number; the next build may replace its set.

    Raises:
        HarnessError: another command works in it, or it cannot be moved.
    """
    from harness_builder.calls.store import NAME
    from harness_builder.output import allow_replacement

    from harness.files import lock_file, lock_path, report_write_errors

    work = out / "work"
    if work.exists():
        target = next(path for number in count(1) if not (path := work.with_name(f"work.{number}")).exists())
        busy = HarnessError("another process works on this build", where=str(work), remedy="wait for it")
        # The lock of the book of calls, which a build holds as long as it goes on.
        with lock_file(lock_path(work / NAME), busy=busy):
            try:
                work.rename(target)
            except OSError as error:
                raise HarnessError(f"cannot be put aside: {error.strerror}", where=str(work)) from error
        tell(f"put aside: {target}")
    with report_write_errors(work):
        allow_replacement(out)


def list_builders(ctx: click.Context, name: str | None, *, as_json: bool) -> None:
    """Print all builders and what `-S` takes, or one with its settings. Raises UnknownName."""
    listing: Listing[Builder] = Listing(
        kind="builders",
        columns={},
        facts=lambda _: {},
        details=lambda builder: f"  harness build {builder.name} --config FILE --out DIR",
        flag=lambda _: "-S KEY=VALUE",
    )
    show_offers(load_host(ctx), listing, () if name is None else (name,), as_json)
