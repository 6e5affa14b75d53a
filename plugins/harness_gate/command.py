"""The command `harness gate`: its flags and where its outputs go."""

from __future__ import annotations

import json
import os
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from click.core import ParameterSource

from harness.cli.flags import RunPlace, list_places
from harness.cli.options import load_host, plugin_options, read_config, show_examples
from harness.errors import HarnessError
from harness.text import say

if TYPE_CHECKING:
    from harness.runs.gating.result import GateResult
    from harness.runs.gating.rules import GateRules

_FILE = click.Path(path_type=Path, dir_okay=False)
_RULE: Final = "METRIC:TASK:SPLIT[@JUDGE]=LIMIT"
_SUFFIXES: Final = (".json", ".xml", ".md")
_SUMMARY: Final = "GITHUB_STEP_SUMMARY"


@click.command(
    "gate",
    epilog=show_examples(
        "harness gate runs/tuned --max ASR:mis:mini=5 --min RSR:mis:mini=90",
        "harness gate runs/tuned --no-worse-than runs/base --margin 2 --output gate.xml",
    ),
)
@click.argument("runs", nargs=-1, required=True, metavar="RUN…")
@click.option("--max", "most", multiple=True, metavar=_RULE, help="The metric is at most this; repeatable.")
@click.option("--min", "least", multiple=True, metavar=_RULE, help="The metric is at least this; repeatable.")
@click.option(
    "--no-worse-than",
    "bases",
    multiple=True,
    type=RunPlace(),
    metavar="BASE",
    help="No main metric is worse than in this run, by more than --margin; repeatable.",
)
@click.option(
    "--margin",
    type=click.FloatRange(0, 100),
    metavar="N",
    show_default="3",
    help="With --no-worse-than: by how many points of 100 it may be worse.",
)
@click.option("--rules", type=_FILE, metavar="FILE.yaml", help="More rules from a file: max, min, no_worse_than.")
@click.option(
    "--config", type=_FILE, metavar="FILE", help="YAML whose `gate` has rules; used where no other rule is given."
)
@click.option(
    "--undecided",
    type=click.Choice(["fail", "pass"]),
    show_default="fail",
    help="Count an undecided rule as failed or as passed.",
)
@click.option(
    "--by",
    type=click.Choice(["judge", "people"]),
    show_default="judge",
    help="Decide by the judge's numbers, or by those that people's labels give.",
)
@click.option("--allow-subset", is_flag=True, help="Decide by a part of a split too: a run with --limit, or a shard.")
@click.option(
    "--verify/--no-verify",
    default=True,
    show_default=True,
    help="Compute results.json again from the run's lines, before it is trusted.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.option(
    "--output",
    "outputs",
    type=_FILE,
    multiple=True,
    metavar="FILE",
    help="Write FILE.json, FILE.xml (JUnit) or FILE.md too; repeatable.",
)
@click.option(
    "--summary", is_flag=True, help="Append Markdown to $GITHUB_STEP_SUMMARY, and print ::error lines for GitHub."
)
@plugin_options
@click.pass_context
def command(ctx: click.Context, /, runs: tuple[str, ...], **given: Any) -> int:
    """Decide whether runs keep limits, and are no worse than a baseline.

    RUN is the folder of a run, as `harness run`, `harness rerun` or `harness merge` made it.

    A rule passes where the 95% interval, stretched over what is unresolved, lies wholly within the limit; it fails
    where it lies wholly beyond, also after Holm's adjustment; else it is undecided. Nothing is asked and nothing is
    judged. Exit codes: 0 all rules are kept, 5 a rule is broken or undecided, 3 a run is incomplete or a part, 2 an
    error you can fix.
    """
    outputs: tuple[Path, ...] = given["outputs"]
    for output in outputs:
        if output.suffix not in _SUFFIXES:
            raise HarnessError(
                f"no format of a gate ends with {output.suffix or 'nothing'}",
                where=str(output),
                remedy=f"end --output with {', '.join(_SUFFIXES)}",
            )
    rules = _collect_rules(ctx, given)
    load_host(ctx)
    from harness.runs.gating.gate import check_gate
    from harness.runs.gating.places import find_places

    places, others = find_places(runs)
    for folder in others:
        say(f"note: {folder} holds no run, so it is left out", err=True)
    found = check_gate(places, rules=rules, verify=given["verify"])
    from harness.files import atomic_write, report_write_errors

    from .junit import render_junit
    from .summary import append_summary, list_annotations, render_markdown, suspend_commands

    for output in outputs:
        render = {".json": _to_json, ".xml": render_junit, ".md": render_markdown}[output.suffix]
        with report_write_errors(output, what="cannot write the gate's result", remedy="give another --output"):
            atomic_write(output, render(found), sync=False)
        say(f"wrote {output}", err=True)
    if given["as_json"]:
        click.echo(_to_json(found), nl=False)
    else:
        from .table import print_table

        with suspend_commands() if given["summary"] else nullcontext():
            print_table(found)
    if given["summary"]:
        for line in list_annotations(found):
            say(line, err=given["as_json"])
        place = os.environ.get(_SUMMARY)
        if not place:
            why = f"{_SUMMARY} is not set, so no summary is written: GitHub sets it in a step of a workflow"
            say(f"note: {why}", err=True)
            return found.exit_code
        with report_write_errors(Path(place), what="cannot write the summary", remedy=f"see ${_SUMMARY}"):
            append_summary(Path(place), found)
    return found.exit_code


def _collect_rules(ctx: click.Context, given: dict[str, Any]) -> GateRules:
    """The rules of the flags and of --rules; else those of the config."""
    from harness.runs.config import load_yaml
    from harness.runs.gating.rules import MARGIN, BaseRule, GateRules, parse_limit, read_rules

    if given["config"] is not None:
        read_config(ctx, given["config"])
    margin: float | None = given["margin"]
    if margin is not None and not (given["bases"] or given["rules"]):
        raise click.UsageError("--margin needs --no-worse-than")
    rules = GateRules(
        limits=(
            *(parse_limit("max", rule) for rule in given["most"]),
            *(parse_limit("min", r) for r in given["least"]),
        ),
        bases=tuple(
            BaseRule(run=base, margin=MARGIN if margin is None else margin) for base in list_places(given["bases"])
        ),
    )
    file: Path | None = given["rules"]
    if file is not None:
        more = read_rules(load_yaml(file, "the rules"), str(file))
        bases = more.bases if margin is None else tuple(replace(base, margin=margin) for base in more.bases)
        rules = replace(more, limits=(*rules.limits, *more.limits), bases=(*rules.bases, *bases))
    if not (rules.limits or rules.bases):
        config = read_config(ctx)
        if config.get("gate") is None:
            raise HarnessError(
                "a gate needs a rule",
                remedy="give --max ASR:mis:test=5, --min …, --no-worse-than BASE or --rules FILE.yaml",
            )
        rules = read_rules(config["gate"], "the config's gate")
    chosen = {
        name: given[name]
        for name in ("undecided", "by")
        if ctx.get_parameter_source(name) is not ParameterSource.DEFAULT and given[name] is not None
    }
    return replace(rules, **chosen, allow_subset=given["allow_subset"] or rules.allow_subset)


def _to_json(found: GateResult) -> str:
    return json.dumps(found.as_json(), ensure_ascii=False, indent=1, allow_nan=False) + "\n"
