"""The command `harness strategies pool`: builds what `adashield-a` takes its defences from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from harness.cli.config import schemes_flag, with_schemes
from harness.cli.options import FiniteRange, parse_pairs, plugin_options, show_examples
from harness.text import one_line, say

if TYPE_CHECKING:
    from .pool import Pool, Query

_F = TypeVar("_F", bound=Callable[..., Any])
_FILE = click.Path(path_type=Path, dir_okay=False)


@click.group("strategies")
def command() -> None:
    """Commands that are added to `harness strategies`."""


def _settings_flag(flag: str, name: str, text: str) -> Callable[[_F], _F]:
    def parse(_: click.Context, param: click.Parameter, texts: Sequence[str]) -> dict[str, str]:
        return parse_pairs(texts, param.opts[0])

    return click.option(flag, name, multiple=True, callback=parse, metavar="KEY=VALUE", help=text)


@command.command(
    "pool",
    epilog=show_examples(
        "harness strategies pool q.jsonl --target hf/M --refiner openai/M --clip DIR --output pool.json",
        "harness strategies pool q.jsonl --target hf/M --refiner hf/M --clip DIR --output p --rounds 0",
    ),
)
@click.argument("queries", type=_FILE)
@click.option("--target", required=True, metavar="SCHEME/NAME", help="The model that shall refuse the queries.")
@_settings_flag("-M", "target_settings", "Setting of the target's provider.")
@click.option("--refiner", required=True, metavar="SCHEME/NAME", help="The model that writes the defences.")
@_settings_flag("-R", "refiner_settings", "Setting of the refining model's provider.")
@click.option(
    "--clip",
    required=True,
    metavar="NAME",
    help="CLIP model of transformers that places the queries: a folder or a hub id.",
)
@click.option("--output", required=True, type=_FILE, help="The pool's file; one that is there is continued.")
@click.option("--prompt", type=_FILE, help="A FILE with the first defence, instead of that of adashield-s.")
@click.option("--rounds", type=click.IntRange(0), default=4, show_default=True, help="Most refinements a query.")
@click.option("--validate", type=_FILE, help="Queries that a defence must make the target refuse, too.")
@click.option("--agree", type=FiniteRange(0, 1), default=0.8, show_default=True, help="Share of these that it must.")
@click.option("--device", default="cpu", show_default=True, help="Where CLIP computes: cpu, cuda, cuda:N or mps.")
@click.option("--concurrency", type=click.IntRange(1), help="Most calls at once to each model.")
@schemes_flag
@plugin_options
@click.pass_context
def pool(ctx: click.Context, /, queries: Path, **given: Any) -> int:
    """Refine a defence on each training query, and keep those that make the target refuse.

    QUERIES is a JSONL, JSON or CSV file of harmful queries of your own, with the fields `text` and `images` (paths
    beside the file). Never take them from a set that you evaluate on: a run refuses a pool that holds a question of its
    task. The same command goes on with what is missing.

    \b
    Exit codes: 0 done, 2 error, 3 some queries could not be asked.
    """
    import anyio

    with_schemes(ctx)
    from harness.errors import HarnessError
    from harness.files import lock_file, lock_path

    from .pool import read_queries

    asked = read_queries(queries)
    checked = read_queries(given["validate"]) if given["validate"] else []
    output: Path = given["output"]
    busy = HarnessError(
        "another command is building this pool", where=str(output), remedy="wait until it has ended, or give --output"
    )
    with lock_file(lock_path(output), busy=busy):
        return anyio.run(_build, asked, checked, given)


async def _build(asked: list[Query], checked: list[Query], given: dict[str, Any]) -> int:
    from harness.errors import HarnessError
    from harness.keys import text_hash
    from harness.limits import Policy
    from harness.models import ModelSpec, open_metered, resolve

    from .around import find_scorer, read_words
    from .pool import Pool, Refinement, build_pool
    from .reminders import SHIELD

    if both := {query.key for query in asked} & {query.key for query in checked}:
        raise HarnessError(f"{len(both)} validation queries are training queries, too", where=str(given["validate"]))
    start = read_words(given["prompt"], "the first defence") if given["prompt"] else SHIELD
    folder, sha256 = find_scorer(given["clip"])
    from .embedding import load_clip

    clip = load_clip(folder, given["device"])
    made = {
        "target": given["target"],
        "refiner": given["refiner"],
        "prompt_sha256": text_hash(start),
        "rounds": given["rounds"],
        "validation": sorted(query.key for query in checked),
        "agree": given["agree"] if checked else None,
    }
    target, refiner = (ModelSpec(ref=given[name], settings=given[f"{name}_settings"]) for name in ("target", "refiner"))
    for name, spec in (("target", target), ("refiner", refiner)):
        own, usual = (resolve(each).requested["settings"] for each in (spec, ModelSpec(ref=spec.ref)))
        if own != usual:
            made[f"{name}_settings"] = own
    output: Path = given["output"]
    before = _continue(output, Pool(clip=given["clip"], clip_sha256=sha256, made=made, entries={}))
    most: int | None = given["concurrency"]
    policy = Policy(start=most, cap=most) if most else Policy()

    def tell(text: str) -> None:
        say(one_line(text, 300), err=True)

    async with open_metered(target, policy, tell=tell) as first, open_metered(refiner, policy, tell=tell) as second:
        how = Refinement(
            target=first,
            refiner=second,
            start=start,
            rounds=given["rounds"],
            validation=checked,
            agree=given["agree"],
        )
        done, calls, usage = await build_pool(asked, before, how, clip, output, tell)
    missing = sum(query.key not in done.entries for query in asked)
    lost = f", {missing} could not be asked: give the same command again" if missing else ""
    say(f"{output}: {len(done.usable)} defences of {len(done.entries)} queries{lost}")
    if not done.usable:
        say("no defence was found, so adashield-a cannot use this pool", err=True)
    say(f"{calls:,} calls, {usage.input_tokens:,} tokens in, {usage.output_tokens:,} out", err=True)
    return 3 if missing else 0


def _continue(output: Path, new: Pool) -> Pool:
    """The pool that is there, or the new one. Raises HarnessError if it was built in another way."""
    from harness.errors import HarnessError

    from .pool import read_pool

    if not output.exists():
        return new
    before = read_pool(output)
    if (dict(before.made), before.clip_sha256) != (dict(new.made), new.clip_sha256):
        raise HarnessError(
            "this pool was built in another way",
            where=str(output),
            remedy="give the models with their settings, --clip, --prompt, --rounds and --validate of that time, "
            "or another --output",
        )
    return before
