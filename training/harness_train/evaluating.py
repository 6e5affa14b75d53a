"""`--evaluate`: the new model is run on tasks, beside its base where asked, and its card gets the results."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import click

from harness import HarnessError, Run, plugins
from harness.cli.interrupt import interruptible
from harness.cli.outcome import printed
from harness.cli.several import each
from harness.engine.work import Stop
from harness.lineage import FILE
from harness.local import ADAPTER_CONFIG
from harness.models import ModelSpec
from harness.options import Options
from harness.progress.lines import choose
from harness.runs.dry_run import dry_run
from harness.runs.running import RUNS, default_folder, run_async
from harness.settings import effective
from harness.terminal import plain, say

from .results import add

_ADAPTER: Final = "adapter"  #: the setting of a provider whose models take one


def check(ref: str, given: Mapping[str, Any]) -> list[str]:
    """Whether the evaluation could be done, asked before hours of training: tasks, their data, and judges.

    Gives what a person should read of it before.

    Raises:
        HarnessError: as `harness run` would.
    """
    options = _options(ModelSpec(ref=ref), given)
    if not given["compare"]:  # then the base is not run, and its folder may be whose it is
        options = replace(options, fresh=True)
    return list(dry_run(options).notes)


def evaluate(ctx: click.Context, folder: Path, base: str, given: Mapping[str, Any]) -> int:
    """Run the tasks on the model of a folder, and on its base with `compare` -> exit code, as that of `harness run`.

    Both are shown images as the training showed them, as far as their providers can.
    """
    shown = _shown(folder)
    tuned = _options(_as_trained(tuned_spec(folder, base), shown), given, output=RUNS / folder.name)
    asked = [_options(_as_trained(ModelSpec(ref=base), shown), given)] if given["compare"] else []
    runs, code = each((options.model.ref, partial(_run, options)) for options in (*asked, tuned))
    if not given["as_json"]:
        printed(runs, as_json=False, several=True)
    if runs and runs[-1].folder == (tuned.output or folder):
        add(folder, [run.results for run in runs])
    both = runs if len(runs) > len(asked) and asked else []
    if given["as_json"]:
        click.echo(json.dumps(_as_json(folder, runs, both), ensure_ascii=False, indent=1))
    elif both:
        click.echo()
        ctx.invoke(_comparing(), runs=tuple(run.folder for run in both))
    return code


def tuned_spec(folder: Path, base: str) -> ModelSpec:
    """How the model of a folder is run: as it is, or as an adapter of its base."""
    if not (folder / ADAPTER_CONFIG).is_file():
        return ModelSpec(ref=f"hf/{folder}")
    scheme, _, name = base.partition("/")
    provider = plugins.current().provider(scheme)
    if provider.folder is not None and not any(setting.name == _ADAPTER for setting in provider.settings):
        base = f"hf/{provider.folder(name, effective(provider.settings, {}, owner=f'{scheme}/'))}"
    return ModelSpec(ref=base, settings={_ADAPTER: str(folder)})


def _shown(folder: Path) -> dict[str, Any]:
    """Settings of a run that the record of a training names, so that images are as they were in it; a note is told."""
    try:
        found: Any = json.loads((folder / FILE).read_text(encoding="utf-8"))
        named = found.get("evaluation", {})
        if named.get("note"):
            click.echo(plain(f"note: {named['note']}"), err=True)
        return dict(named.get("settings", {}))
    except (OSError, ValueError, TypeError, AttributeError):
        return {}  # of a trainer that keeps no such record


def _as_trained(spec: ModelSpec, shown: Mapping[str, Any]) -> ModelSpec:
    """A model under those settings that its provider takes; the others are told."""
    known = {setting.name for setting in plugins.current().provider(spec.scheme).settings}
    if lacking := [f"{name}={value}" for name, value in shown.items() if name not in known]:
        say(f"note: {spec.scheme}/ takes no {', '.join(lacking)}, which the model was trained with", err=True)
    return replace(spec, settings={**{name: shown[name] for name in shown if name in known}, **spec.settings})


def _options(spec: ModelSpec, given: Mapping[str, Any], output: Path | None = None) -> Options:
    return Options(
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
    progress, stop = choose(sys.stderr), Stop()
    return interruptible(lambda: run_async(options, progress=progress, stop=stop), stop)


def _as_json(folder: Path, runs: Sequence[Run], both: Sequence[Run]) -> dict[str, Any]:
    from harness import compare

    found = compare(both[0], both[1]).as_json(None) if both else None
    return {"trained": str(folder), "results": [run.results for run in runs], "comparison": found}


def _comparing() -> click.Command:
    """`harness compare`, which is a plugin's like this command. Raises HarnessError where it is kept out."""
    from harness.cli import CORE

    found = plugins.current().commands(CORE).get("compare")
    if found is None:
        raise HarnessError("there is no command `compare` here", remedy="see `harness plugins`")
    return found[0]
