"""`harness merge`: its flags."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.flags import place_flags, with_schemes, with_suites
from harness.cli.options import plugin_options, show_examples

if TYPE_CHECKING:
    from harness.runs.run import Run


@click.command("merge", epilog=show_examples("harness merge runs/big", "harness merge runs/big --json"))
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), metavar="FOLDER")
@place_flags
@click.option("--json", "as_json", is_flag=True, help="Print results.json instead of a table.")
@plugin_options
@click.pass_context
def command(ctx: click.Context, /, folder: Path, **given: Any) -> int:
    """Make one run of the shards of a run, as one process would have made it.

    FOLDER is what `--output` named for the shards. It asks no model. The shards stay as they are, and the same command
    merges them again. Exit codes: 0 done, 2 the shards do not belong together, 3 a shard is missing or answers wait for
    a judge.
    """
    from harness.cli.outcome import print_runs

    with_schemes(ctx)
    with_suites(ctx)
    run = _merge(folder, given)
    print_runs([run], as_json=given["as_json"], several=False)
    return run.exit_code


def _merge(folder: Path, given: dict[str, Any]) -> Run:
    from harness.cli.interrupt import interruptible
    from harness.evaluation.samples import Stop
    from harness.files import resolve_name
    from harness.progress import choose_progress
    from harness.runs.merging import merge_async

    return interruptible(
        lambda: merge_async(
            resolve_name(folder),
            command=("harness", *sys.argv[1:]),
            data=given["data"],
            task_settings=given["task_settings"],
            progress=choose_progress(sys.stderr),
        ),
        Stop(),
    )
