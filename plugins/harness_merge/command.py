"""`harness merge`: its flags."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from harness.cli.config import with_schemes, with_suites
from harness.cli.flags import place_flags, upload_flag
from harness.cli.options import plugin_options, show_examples


@click.command("merge", epilog=show_examples("harness merge runs/big", "harness merge runs/big --json"))
@click.argument("folder", metavar="FOLDER")
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder to fetch shards to and to merge them in, where FOLDER is an address such as s3://BUCKET/PATH.",
)
@place_flags
@upload_flag
@click.option("--json", "as_json", is_flag=True, help="Print results.json instead of a table.")
@plugin_options
@click.pass_context
def command(ctx: click.Context, /, folder: str, **given: Any) -> int:
    """Make one run of the shards of a run, as one process would have made it.

    FOLDER is what `--output` named for the shards: `harness run … --output runs/big --shard 0/2`, and `1/2`, make
    those of the examples. It asks no model. The shards stay as they are, and the same command
    merges them again. Exit codes: 0 done, 2 the shards do not belong together, 3 a shard is missing or answers wait for
    a judge.
    """
    from harness.cli.outcome import check_upload, print_runs, upload_runs
    from harness.remote import is_remote

    with_schemes(ctx)
    with_suites(ctx)
    check_upload(given["upload"])
    output: Path | None = given["output"]
    if is_remote(folder) and output is None:
        raise click.UsageError(f"shards at an address are merged here: give --output FOLDER besides {folder}")
    if output is not None and not is_remote(folder):
        raise click.UsageError("--output is for shards at an address; those of this machine are merged where they lie")
    if output is not None:
        from harness.runs.uploading import fetch_shards

        fetch_shards(folder, output)
    from harness.cli.interrupt import interruptible
    from harness.evaluation.samples import Stop
    from harness.files import resolve_name
    from harness.progress import choose_progress
    from harness.runs.merging import merge_async

    run = interruptible(
        lambda: merge_async(
            resolve_name(Path(folder) if output is None else output),
            command=("harness", *sys.argv[1:]),
            data=given["data"],
            task_settings=given["task_settings"],
            progress=choose_progress(sys.stderr),
        ),
        Stop(),
    )
    print_runs([run], as_json=given["as_json"], several=False)
    return upload_runs([run], given["upload"], run.exit_code, several=False)
