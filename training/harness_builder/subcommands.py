"""The commands of `harness build`: `BUILDER` makes a set, `show`, `review`, `verify` and `push` work on one.

`--fresh` renames the folder of stored calls and deletes nothing; people's decisions stay.
"""

from __future__ import annotations

import copy
import gc
import json
import sys
import threading
import webbrowser
from collections.abc import Callable, Collection, Mapping
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from harness import HarnessError, UnknownName
from harness.cli.listing import Listing, show_offers
from harness.cli.options import load_host, parse_pairs, plugin_options, show_examples
from harness.cli.stdout import indented, table
from harness.settings import effective, nearest
from harness.text import one_line, plain, say

if TYPE_CHECKING:
    from harness import Build, Builder, Built
    from harness.evaluation.samples import Stop
    from harness.stats.agreement import Agreement
    from harness_builder.review import Queue

_SELDOM: Final = (20_000, 10, 5)  # net new objects, and rounds, before a search for cycles
_SET: Final = click.Path(path_type=Path, exists=True, file_okay=False)
_SHEET: Final = click.Path(path_type=Path, dir_okay=False)


class _BuildCommand(click.Command):
    """A command whose name may belong to no builder; `commands` are the other names after `harness build`."""

    commands: Collection[str] = ()

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse like click, but report an unknown builder before wrong flags."""
        try:
            return super().parse_args(ctx, args)
        except click.UsageError:
            self.find_builder(ctx)
            raise

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The builder's own description, above the common text."""
        builder = self.find_builder(ctx)
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text(f"{one_line(builder.name)}: {one_line(builder.description)}.")
        super().format_help_text(ctx, formatter)

    def find_builder(self, ctx: click.Context) -> Builder:
        """The builder of this name. Raises UnknownName if no plugin offers it."""
        host, name = load_host(ctx), str(self.name)
        known = {builder.name for builder, _ in host.offers("builders")} | set(host.clashes("builders"))
        remedy = nearest(name, [*self.commands, *known])
        if name not in known and remedy in {f"did you mean {each!r}?" for each in self.commands}:
            raise UnknownName(f"{name!r} is neither a builder nor a command of `harness build`", remedy=remedy)
        return host.builder(name)


def _parse_settings(_: click.Context, param: click.Parameter, texts: tuple[str, ...]) -> dict[str, str]:
    return parse_pairs(texts, param.opts[0])


@click.command(cls=_BuildCommand)
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    metavar="FILE",
    help="Config of the set.",
)
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), required=True, metavar="DIR", help="Folder of the set."
)
@click.option(
    "--accept-licence",
    "accepted",
    multiple=True,
    metavar="SOURCE",
    help="Use this source although its licence forbids it or is unknown; repeatable.",
)
@click.option(
    "-S", "settings", multiple=True, callback=_parse_settings, metavar="KEY=VALUE", help="Setting of the builder."
)
@click.option("--dry-run", is_flag=True, help="Show the plan and its most calls, and make no call.")
@click.option("--fresh", is_flag=True, help="Rename the folder of stored calls, and start again; reviews stay.")
@click.option("--push", default="", metavar="OWNER/NAME", help="Then upload the set to the hub, private and gated.")
@click.option("--public", is_flag=True, help="With --push: let everybody see its page; the files stay gated.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@plugin_options
@click.pass_context
def _command(ctx: click.Context, /, **given: Any) -> int:
    """The same command again continues, and repeats no finished call.

    stdout: how many records each file holds; stderr: progress, and what is still open. Exit codes: 0 done, 2 an error
    you can fix, 3 done but incomplete, 130 interrupted.
    """
    if given["public"] and not given["push"]:
        raise click.UsageError("--public has no effect without --push")
    from harness import Build
    from harness.evaluation.samples import Stop

    assert isinstance(ctx.command, _BuildCommand)
    builder, stop = ctx.command.find_builder(ctx), Stop()
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
        builder.plan(build)  # an unusable config must move nothing
        move_work(build.out, tell=build.tell)
    built = _run(builder, build, stop)
    address = ""
    if given["push"] and not built.open:
        from harness_builder.output import push

        try:
            address = push(built.folder, given["push"], public=given["public"], tell=_tell)
        except HarnessError:  # first the set, then the error
            _print(built, "", as_json=given["as_json"])
            raise
    _print(built, address, as_json=given["as_json"])
    if built.open and given["push"]:
        _tell("not pushed: the set is not complete")
    return 3 if built.open else 0


def build_command(name: str, commands: Collection[str]) -> click.Command:
    """The command that runs the builder of this name; `commands` are the other names after `harness build`."""
    made = copy.copy(_command)
    made.name, made.commands = name, commands
    start = f"harness build {one_line(name)} --config set.yaml --out sets/mine"
    made.epilog = show_examples(f"{start} --dry-run", start)
    return made


def _tell(line: str) -> None:
    click.echo(plain(line), err=True)


def _run(builder: Builder, build: Build, stop: Stop) -> Built:
    """Build. Raises KeyboardInterrupt if a person ended the build early and work is left."""
    from harness.cli.interrupt import interruptible, resume_hint

    async def body() -> Built:
        return await builder.build(build)

    # reference counts free a call's objects; the search for cycles took a twentieth of a build's time
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
    Raises HarnessError if another command uses it, or it cannot be moved."""
    from harness.files import lock_file, lock_path, report_write_errors
    from harness_builder.calls.store import NAME
    from harness_builder.output import allow_replacement
    from harness_builder.values import WORK

    work = out / WORK
    if work.exists():
        target = next(path for number in count(1) if not (path := work.with_name(f"work.{number}")).exists())
        busy = HarnessError("another process works on this build", where=str(work), remedy="wait for it")
        # a running build holds the lock of its call store
        with lock_file(lock_path(work / NAME), busy=busy):
            try:
                work.rename(target)
            except OSError as error:
                raise HarnessError(f"cannot be renamed: {error.strerror}", where=str(work)) from error
        tell(f"renamed: {target}")
    with report_write_errors(work):
        allow_replacement(out)


def list_builders(ctx: click.Context, name: str | None, *, as_json: bool) -> None:
    """Print all builders and their settings for `-S`, or one with its settings. Raises UnknownName."""
    listing: Listing[Builder] = Listing(
        kind="builders",
        columns={},
        facts=lambda _: {},
        details=lambda builder: f"  harness build {builder.name} --config FILE --out DIR",
        flag=lambda _: "-S KEY=VALUE",
    )
    show_offers(load_host(ctx), listing, () if name is None else (name,), as_json)


@click.command(
    "review",
    epilog=show_examples(
        "harness build review sets/kitchen",
        "harness build review sets/kitchen --reviewer anna --no-browser",
        "harness build review sets/kitchen --to-csv sheet.csv",
    ),
)
@click.argument("folder", type=_SET, metavar="DIR")
@click.option("--reviewer", default="", metavar="NAME", help="Name of the reviewer; else the page asks.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, show_default="any free one", help="Port of the page.")
@click.option("--no-browser", is_flag=True, help="Only print the address; open no browser.")
@click.option("--to-csv", "out", type=_SHEET, metavar="FILE", help="Write a sheet to fill in instead of a page.")
@click.option("--from-csv", "back", type=_SHEET, metavar="FILE", help="Import a sheet that was filled in.")
@plugin_options
def _review(folder: Path, **given: Any) -> None:
    """Let people keep, drop or fix the candidates of a build; then build again to use their decisions.

    Serves a page on 127.0.0.1 until Ctrl-C; its address, with the token of this start, is the first line of stdout.
    Several may review at once or one after the other, each under a different name. Their agreement is printed at the
    end.
    """
    if given["out"] and given["back"]:
        raise click.UsageError("--to-csv and --from-csv cannot be used together")
    if (given["port"] or given["no_browser"]) and (given["out"] or given["back"]):
        raise click.UsageError(f"--{'port' if given['port'] else 'no-browser'} has no effect with a sheet")
    if given["back"] and given["reviewer"]:
        raise click.UsageError("--reviewer has no effect with --from-csv: each row names its reviewer")
    from harness_builder.people import open_review_queue

    queue = open_review_queue(folder)
    if given["out"]:
        _write_sheet(queue, folder, given["out"], given["reviewer"])
        return
    if given["back"]:
        _read_sheet(queue, given["back"])
    else:
        from harness.extras import require

        with require("serve", by="the page"):
            from harness_builder.review import serve_review

        def ready(url: str) -> None:
            click.echo(url)
            click.echo("Ctrl-C ends it; each decision is saved at once", err=True)
            if not given["no_browser"]:
                threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()  # some browsers block

        serve_review(queue, ready=ready, reviewer=given["reviewer"], port=given["port"])
    click.echo(plain(format_agreement(queue)), err=True)


def _write_sheet(queue: Queue, folder: Path, path: Path, reviewer: str) -> None:
    """Write a sheet with one reviewer's decisions, or with those of all."""
    from harness.review import normalize_reviewer
    from harness_builder.review import to_csv
    from harness_builder.values import WORK

    name = normalize_reviewer(reviewer) if reviewer else ""
    reviews = [each for each in queue.reviews() if not name or each.reviewer == name]
    text = to_csv(queue, reviews, reviewer=name)
    try:
        with path.open("x", encoding="utf-8-sig", errors="backslashreplace", newline="") as file:
            file.write(text)
    except FileExistsError:
        what = "the file already exists and may hold a person's work"
        raise HarnessError(what, where=str(path), remedy="name another one") from None
    except OSError as error:
        raise HarnessError(f"cannot write: {error.strerror}", where=str(path)) from None
    say(f"{len(queue.candidates)} candidates, {len({each.key for each in reviews})} decided: {path}", err=True)
    say(f"images are below {folder / WORK}; fill in `decision` (keep, drop or fix) and `reviewer`, then", err=True)
    say(f"  harness build review {folder} --from-csv {path}", err=True)


def _read_sheet(queue: Queue, path: Path) -> None:
    from harness_builder.review import from_csv

    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise HarnessError(f"the sheet cannot be read: {error.strerror}", where=str(path)) from None
    except UnicodeDecodeError:
        raise HarnessError("the sheet is not UTF-8", where=str(path), remedy="save it as CSV UTF-8") from None
    counts = queue.import_reviews(from_csv(text, queue, where=str(path)))
    say(f"decisions: {counts.new} new, {counts.changed} changed, {counts.same} as before", err=True)


def format_agreement(queue: Queue) -> str:
    """The number of decisions of each reviewer, and the agreement of those with common candidates."""
    from harness_builder.review import agreed

    names = queue.reviewers
    if not names:
        return "there are no decisions yet"
    rows: list[list[str]] = []
    for name in names:
        progress = queue.session(name).progress()
        skipped = len(progress.skipped) + len(progress.left_out)
        rows.append([name, str(len(progress.decided)), str(skipped), str(len(progress.open))])
    text = table(["REVIEWER", "DECIDED", "PASSED OVER", "OPEN"], rows)
    found = [each for each in agreed(queue.reviews(first=True)) if each.candidates]
    if not found:
        return text
    questions = [[each.about, str(each.candidates), _format_number(each.alpha, "{:.2f}")] for each in found]
    both = [
        [
            f"{pair.left} and {pair.right}",
            each.about,
            str(pair.same.n),
            _format_number(pair.kappa, "{:.2f}"),
            _format_number(pair.same, "{:.0%}"),
        ]
        for each in found
        for pair in each.pairs
        if pair.same.n
    ]
    return (
        f"{text}\n\nagreement, by answers given before the model's opinion was shown:\n"
        f"{indented(table(['ABOUT', 'IN COMMON', 'ALPHA'], questions))}\n\n"
        f"{indented(table(['BETWEEN', 'ABOUT', 'BOTH ANSWERED', 'KAPPA', 'SAME ANSWER'], both))}"
    )


def _format_number(found: Agreement, form: str) -> str:
    """The value with its interval, or why there is none."""
    if found.value is None:
        return found.why.value if found.why else "none"
    value = form.format(found.value)
    if found.ci95 is None:
        return value
    low, high = (form.format(end) for end in found.ci95)
    return f"{value} [{low}, {high}]"


@click.command(
    "show",
    epilog=show_examples("harness build show sets/kitchen train/7", "harness build show sets/kitchen easy/1"),
)
@click.argument("folder", type=_SET, metavar="DIR")
@click.argument("key", metavar="KEY")
@plugin_options
def _show(folder: Path, key: str) -> None:
    """Print the story of one record: its source, every call, every image, and how each step ended.

    KEY is a place in the set, such as train/7; or the key of an element or of a seed, from its files. The story holds
    texts, which may be harmful.
    """
    from harness_builder.output import render_story

    click.echo(plain(render_story(folder, key)))


@click.command(
    "verify",
    epilog=show_examples("harness build verify sets/kitchen", "harness build verify sets/kitchen --strict-plugins"),
)
@click.argument("folder", type=_SET, metavar="DIR")
@plugin_options
def _verify(folder: Path) -> int:
    """Compare every file of a set with the manifest that the build wrote.

    Exit codes: 0 nothing has changed, 2 a file is missing, changed or added.
    """
    from harness_builder.output import verify

    found = verify(folder)
    for each in found:
        click.echo(plain(str(each)))
    say(f"{folder}: {len(found) or 'no'} difference{'' if len(found) == 1 else 's'}", err=True)
    return 2 if found else 0


@click.command(
    "push",
    epilog=show_examples(
        "harness build push sets/kitchen OWNER/NAME", "harness build push sets/kitchen OWNER/NAME --public"
    ),
)
@click.argument("folder", type=_SET, metavar="DIR")
@click.argument("repo", metavar="OWNER/NAME")
@click.option("--public", is_flag=True, help="Let everybody see its page; the files stay gated.")
@plugin_options
def _push(folder: Path, repo: str, public: bool) -> None:
    """Upload a set to the Hugging Face hub, private and gated, and print its address.

    Only files of its manifest are sent: neither calls nor reviews. Needs the extra `hub` and HF_TOKEN.
    """
    from harness_builder.output import push

    say(push(folder, repo, public=public, tell=lambda line: click.echo(plain(line), err=True)))


SUBCOMMANDS: Final[Mapping[str, click.Command]] = {
    "show": _show,
    "review": _review,
    "verify": _verify,
    "push": _push,
}
