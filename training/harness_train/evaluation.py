"""`--evaluate`: the new model is run on tasks, with its base if asked, and its card gets the results."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import click

from harness import HarnessError, MissingData, Results, Run, Training, compare, plugins
from harness.board.tables import render_run_table
from harness.cli.config import configured_data, with_schemes, with_suites
from harness.cli.interrupt import interruptible
from harness.cli.outcome import print_runs, run_each
from harness.evaluation.options import Options
from harness.evaluation.samples import Stop
from harness.lineage import FILE
from harness.local import ADAPTER_CONFIG
from harness.models import ModelSpec
from harness.progress import choose_progress
from harness.runs.run import RUNS, default_folder, prepare_run, run_async
from harness.settings import effective
from harness.text import plain, say

from .request import name_model

CARD: Final = "README.md"
BEGIN: Final = "<!-- results -->"
END: Final = "<!-- /results -->"
_ADAPTER: Final = "adapter"  #: the setting of a provider whose models take one


def check_evaluation(
    ctx: click.Context, training: Training, given: Mapping[str, Any], *, allow_missing: bool = False
) -> list[str]:
    """Check tasks, their data and judges before hours of training, and print the notes.

    Gives what is missing of the data: with `allow_missing`, for a plan. A training does not begin without them.

    Raises:
        HarnessError: what `harness run` would raise.
    """
    with_schemes(ctx)
    with_suites(ctx)
    options = _build_options(ctx, ModelSpec(ref=name_model(training.model)), given)
    if not given["compare"]:  # then the base is not run, and its run folder may be of another run
        options = replace(options, fresh=True)
    try:
        for note in prepare_run(options).notes:
            click.echo(plain(f"note: {note}"), err=True)
    except MissingData as error:
        if not allow_missing:
            raise
        return [str(error)]
    return []


def evaluate(ctx: click.Context, folder: Path, base: str, given: Mapping[str, Any]) -> int:
    """Run the tasks on the model of a folder, and on its base with `compare` -> exit code, as that of `harness run`.

    Both are shown images as the training showed them, as far as their providers can.
    """
    shown = _read_image_settings(folder)
    spec = _with_image_settings(_find_spec(folder, base), shown)
    tuned = _build_options(ctx, spec, given, output=RUNS / folder.name)
    before: list[Options] = []
    if given["compare"]:
        before = [_build_options(ctx, _with_image_settings(ModelSpec(ref=base), shown), given)]
    runs, code = run_each((options.model.ref, partial(_run, options)) for options in (*before, tuned))
    if not given["as_json"]:
        print_runs(runs, as_json=False, several=True)
    if runs and runs[-1].folder == (tuned.output or folder):
        add_results(folder, [run.results for run in runs])
    both = runs if len(runs) > len(before) and before else []
    if given["as_json"]:
        comparison = compare(both[0], both[1]).as_json(None) if both else None
        result = {"trained": str(folder), "results": [run.results for run in runs], "comparison": comparison}
        click.echo(json.dumps(result, ensure_ascii=False, indent=1))
    elif both:
        from harness.cli.options import load_commands

        found = load_commands(plugins.current()).get("compare")  # of a plugin, which may be blocked
        if found is None:
            raise HarnessError("there is no command `compare` here", remedy="see `harness plugins`")
        click.echo()
        ctx.invoke(found[0], runs=tuple(run.folder for run in both))
    return code


def _find_spec(folder: Path, base: str) -> ModelSpec:
    """How the model of a folder is run: as a whole model, or as an adapter of its base."""
    if not (folder / ADAPTER_CONFIG).is_file():
        return ModelSpec(ref=f"hf/{folder}")
    scheme, _, name = base.partition("/")
    provider = plugins.current().provider(scheme)
    if provider.folder is not None and not any(setting.name == _ADAPTER for setting in provider.settings):
        base = f"hf/{provider.folder(name, effective(provider.settings, {}, owner=f'{scheme}/'))}"
    return ModelSpec(ref=base, settings={_ADAPTER: str(folder)})


def _read_image_settings(folder: Path) -> dict[str, Any]:
    """Settings of a run that the record of a training names, so that images are as they were in it; prints its note."""
    try:
        found: Any = json.loads((folder / FILE).read_text(encoding="utf-8"))
        named = found.get("evaluation", {})
        if named.get("note"):
            click.echo(plain(f"note: {named['note']}"), err=True)
        return dict(named.get("settings", {}))
    except (OSError, ValueError, TypeError, AttributeError):
        return {}  # of a trainer that keeps no such record


def _with_image_settings(spec: ModelSpec, shown: Mapping[str, Any]) -> ModelSpec:
    """A model under those settings that its provider takes; a note names the others."""
    known = {setting.name for setting in plugins.current().provider(spec.scheme).settings}
    if lacking := [f"{name}={value}" for name, value in shown.items() if name not in known]:
        say(f"note: {spec.scheme}/ takes no {', '.join(lacking)}, which the model was trained with", err=True)
    return replace(spec, settings={**{name: shown[name] for name in shown if name in known}, **spec.settings})


def _build_options(
    ctx: click.Context, spec: ModelSpec, given: Mapping[str, Any], output: Path | None = None
) -> Options:
    return Options(
        data=configured_data(ctx),
        model=spec,
        tasks=given["evaluate"],
        judges=given["judges"],
        limit=given["limit"],
        output=output,
        fresh=output is not None and not given["resume"],
        command=("harness", *sys.argv[1:]),
    )


def _run(options: Options) -> Run:
    say(f"evaluating {options.model.ref} in {options.output or default_folder(options)}", err=True)
    progress, stop = choose_progress(sys.stderr), Stop()
    return interruptible(lambda: run_async(options, progress=progress, stop=stop), stop)


def add_results(folder: Path, every: Sequence[Results]) -> None:
    """Put the results of a model, and of its base before it, between the marks of the card in the model's folder.

    What is between the marks is replaced; a card without marks gets them at its end. A model that is a folder is named
    without its path, which means nothing to readers elsewhere.
    """
    renamed: list[dict[str, Any]] = []
    for number, results in enumerate(every):
        ref = str(results["model"]["ref"])
        scheme, _, name = ref.partition("/")
        shown = f"{scheme}/{Path(name).name}" if Path(name).is_dir() else ref
        model: dict[str, Any] = dict(results["model"])
        renamed.append({**results, "model": {**model, "ref": folder.name if number == len(every) - 1 else shown}})
    offered = {report.name: report for report, _ in plugins.current().offers("reports")}
    if "markdown" in offered and offered["markdown"].render is not None:
        text = str(offered["markdown"].render(renamed)).strip()
    else:
        text = f"```text\n{render_run_table(renamed)}```"
    file = folder / CARD
    card = file.read_text(encoding="utf-8") if file.is_file() else ""
    start, end = card.find(BEGIN), card.find(END)
    if 0 <= start < end:
        card = f"{card[: start + len(BEGIN)]}\n{text}\n{card[end:]}"
    else:
        card = f"{card.rstrip()}\n\n## Results\n\n{BEGIN}\n{text}\n{END}\n".lstrip()
    file.write_text(card, encoding="utf-8")
