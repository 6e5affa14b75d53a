"""`harness build review`: people decide on the candidates of a build, on a page or on a sheet."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.options import plugin_options
from harness.text import plain, say

if TYPE_CHECKING:
    from harness_builder.review import Queue

    from harness.stats.agreement import Agreement

_SHEET = click.Path(path_type=Path, dir_okay=False)


@click.command("review")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False), metavar="DIR")
@click.option("--reviewer", default="", metavar="NAME", help="Who it is for; else the page asks.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, show_default="any free one", help="Port of the page.")
@click.option("--to-csv", "out", type=_SHEET, metavar="FILE", help="Write a sheet to fill in instead of a page.")
@click.option("--from-csv", "back", type=_SHEET, metavar="FILE", help="Take in a sheet that was filled in.")
@plugin_options
def review(folder: Path, **given: Any) -> None:
    """Let people keep, drop or mend the candidates of a build; then build again, and it goes on with them.

    Serves a page on 127.0.0.1 until Ctrl-C; its address, with the token of this start, is the first line of stdout.
    Several may review at once or one after the other, each under a name of their own. How far they agree is said at the
    end.
    """
    if given["out"] and given["back"]:
        raise click.UsageError("--to-csv and --from-csv are two commands")
    if given["port"] and (given["out"] or given["back"]):
        raise click.UsageError("--port says nothing beside a sheet")
    if given["back"] and given["reviewer"]:
        raise click.UsageError("--reviewer says nothing beside --from-csv: each row names its own")
    from harness_builder.people import open_review_queue

    queue = open_review_queue(folder)
    if given["out"]:
        _write_sheet(queue, folder, given["out"], given["reviewer"])
        return
    if given["back"]:
        _read_sheet(queue, given["back"])
    else:
        _serve(queue, given["reviewer"], given["port"])
    click.echo(plain(format_agreement(queue)), err=True)


def _serve(queue: Queue, reviewer: str, port: int) -> None:
    from harness.extras import require

    with require("serve", by="the page"):
        from harness_builder.review import serve_review

    def ready(url: str) -> None:
        click.echo(url)
        click.echo("Ctrl-C ends it; what was decided is kept as it is decided", err=True)

    serve_review(queue, ready=ready, reviewer=reviewer, port=port)


def _write_sheet(queue: Queue, folder: Path, path: Path, reviewer: str) -> None:
    """Write a sheet. A reviewer's holds nothing of the others'; without a reviewer it holds what all have said."""
    from harness_builder.people import WORK
    from harness_builder.review import to_csv
    from harness_builder.review.queue import normalize_reviewer

    from harness import HarnessError

    name = normalize_reviewer(reviewer) if reviewer else ""
    reviews = [each for each in queue.reviews() if not name or each.reviewer == name]
    text = to_csv(queue, reviews, reviewer=name)
    try:
        with path.open("x", encoding="utf-8-sig", errors="backslashreplace", newline="") as file:
            file.write(text)
    except FileExistsError:
        what = "there is a file already, which may be somebody's work"
        raise HarnessError(what, where=str(path), remedy="name another one") from None
    except OSError as error:
        raise HarnessError(f"cannot write: {error.strerror}", where=str(path)) from None
    say(f"{len(queue.candidates)} candidates, {len({each.key for each in reviews})} decided: {path}", err=True)
    say(f"images lie below {folder / WORK}; fill in `decision` (keep, drop or fix) and `reviewer`, then", err=True)
    say(f"  harness build review {folder} --from-csv {path}", err=True)


def _read_sheet(queue: Queue, path: Path) -> None:
    from harness_builder.review import from_csv

    from harness import HarnessError

    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise HarnessError(f"the sheet cannot be read: {error.strerror}", where=str(path)) from None
    except UnicodeDecodeError:
        raise HarnessError("the sheet is not UTF-8", where=str(path), remedy="save it as CSV UTF-8") from None
    counts = queue.import_reviews(from_csv(text, queue, where=str(path)))
    say(f"decisions: {counts.new} new, {counts.changed} changed, {counts.same} as before", err=True)


def format_agreement(queue: Queue) -> str:
    """How many each reviewer has decided, and the agreement of those who have candidates in common."""
    from harness_builder.review import agreed

    from harness.cli.stdout import indented, table

    names = queue.reviewers
    if not names:
        return "nobody has decided anything yet"
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
    pairs = [
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
        f"{indented(table(['BETWEEN', 'ABOUT', 'BOTH ANSWERED', 'KAPPA', 'SAME ANSWER'], pairs))}"
    )


def _format_number(found: Agreement, form: str) -> str:
    """The value with its interval; without a value, why there is none."""
    if found.value is None:
        return found.why.value if found.why else "none"
    value = form.format(found.value)
    if found.ci95 is None:
        return value
    low, high = (form.format(end) for end in found.ci95)
    return f"{value} [{low}, {high}]"
