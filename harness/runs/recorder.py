"""run.json: who was asked, how, with what, and what each invocation did; and results.json at its end."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from harness import plugins
from harness.contracts import Model
from harness.errors import HarnessError, find_plugin_error
from harness.evaluation.context import RunContext
from harness.evaluation.options import JudgeOptions, Options
from harness.evaluation.plan import SuiteMembers
from harness.models import Resolved, identity_digest
from harness.plugins.boundary import PluginErrors
from harness.plugins.loader import format_story
from harness.runs.conclude import Concluded, Conclusion, conclude
from harness.runs.entries import Carried, suite_entry
from harness.runs.environment import environment
from harness.secrets import without_secrets
from harness.store.folder import RunFolder
from harness.store.run_file import SCHEMA, Invocation, ModelEntry, Overrides, RunFile
from harness.types import Json


@dataclass(slots=True, kw_only=True)
class Recorder:
    """Writes what a run folder says about itself.

    Attributes:
        folder: of the run.
        options: of this invocation.
        started: Unix time in seconds.
        judging: as asked for, where this invocation only judges.
        suites: that this invocation asks.
        ours: the folder is known to be this model's, so that its history may be written.
        aside: where `--fresh` put the folder that was there before.
        errors: what plugins raised meanwhile.
        held: lets go of the folder.
    """

    folder: RunFolder
    options: Options
    started: float
    judging: JudgeOptions | None = None
    suites: Mapping[str, SuiteMembers] = field(default_factory=dict[str, SuiteMembers])
    ours: bool = False
    aside: Path | None = None
    errors: PluginErrors = field(default_factory=PluginErrors)
    held: ExitStack = field(default_factory=ExitStack)

    def refuse(self, identity: Mapping[str, Json]) -> None:
        """Raise IdentityMismatch, with the fields that differ, where the folder is another model's."""
        claim(self.folder, self.options, identity)

    def enter(self, identity: Mapping[str, Json], resolved: Resolved, model: Model) -> None:
        """Make the folder this model's; with `--fresh` an old one is put aside first."""
        if self.options.fresh:
            self.aside = self.folder.put_aside()
        self.hold()
        self.folder.rewrite_run(lambda old: self._opened(old, identity, resolved, model))
        self.ours = True

    def hold(self) -> None:
        """Keep others from putting the folder aside, until `held` is closed."""
        self.held.enter_context(self.folder.hold_for_writing())

    def stopped(self, context: RunContext, error: BaseException) -> None:
        """An invocation that ended early: noted where the folder is ours, and nothing else is changed."""
        if self.ours:
            told = "interrupted" if not isinstance(error, Exception) else f"{type(error).__name__}: {error}"
            by = find_plugin_error(error)
            if by is not None and by is not error:
                self.errors.add(by)  # of another process, whose boundary nobody here listens to
            self.errors.write(self.folder.log)
            if by is not None:
                by.log = str(self.folder.log_file)
            self._history(context, "stopped", told)

    def conclude(self, context: RunContext) -> Concluded:
        """Write what was done into run.json, then results.json from the lines of the folder."""
        self.folder.rewrite_run(lambda old: self._carried(_there(old, self.folder), context))
        self._history(context, "done", "")
        conclusion = Conclusion(
            folder=self.folder,
            run=_there(self.folder.run, self.folder),
            plans=[assignment.plan for assignment in context.jobs],
            command=self.options.command,
        )
        with self.folder.changing("results.json") as results:
            concluded = conclude(conclusion, dict(results))
            results.clear()
            results.update(concluded.results)
        self.errors.write(self.folder.log)
        for display, error in concluded.unscored.items():
            self.folder.log(without_secrets(f"{display} could not be scored\n{format_story(error)}"))
        return concluded

    def _opened(self, old: RunFile | None, identity: Mapping[str, Json], resolved: Resolved, model: Model) -> RunFile:
        return RunFile(
            schema=SCHEMA,
            started=_iso(self.started) if old is None else old.started,
            model=ModelEntry(
                ref=resolved.spec.ref,
                resolved=model.info.resolved,
                settings=identity["settings"],
                strategy=identity["strategy"],
                notes=() if old is None else old.model.notes,
                training=resolved.training,
            ),
            identity={**identity, "overrides": _overrides(self.options).as_json()},
            identity_digest=identity_digest(identity),
            overrides=_overrides(self.options),
            plugins=dict(plugins.current().provenance()),
            environment=environment(model),
            judges={} if old is None else old.judges,
            tasks={} if old is None else old.tasks,
            suites={} if old is None else old.suites,
            probe=None if old is None else old.probe,
            history=() if old is None else old.history,
            extra={} if old is None else old.extra,
        )

    def _carried(self, run: RunFile, context: RunContext) -> RunFile:
        return replace(
            run,
            model=replace(run.model, notes=tuple(dict.fromkeys((*run.model.notes, *context.model_notes)))),
            plugins={**run.plugins, **plugins.current().provenance()},
            judges={**run.judges, **{bench.id: dict(bench.card) for bench in context.judges}},
            tasks=Carried(options=self.options, judging=self.judging, context=context).into(run.tasks),
            suites={**run.suites, **{name: suite_entry(members) for name, members in self.suites.items()}},
            probe=run.probe if context.probe_result is None else asdict(context.probe_result),
        )

    def _history(self, context: RunContext, end: str, reason: str) -> None:
        now = datetime.now(UTC).timestamp()
        entry = Invocation(
            started=_iso(self.started),
            finished=_iso(now),
            seconds=round(now - self.started, 3),
            command=self.options.command,
            tasks=tuple(assignment.plan.title for assignment in context.jobs),
            end=end,
            reason=reason,
        )

        def noted(old: RunFile | None) -> RunFile:
            run = _there(old, self.folder)
            return replace(run, history=(*run.history, entry))

        self.folder.rewrite_run(noted)
        self.folder.log(f"{_iso(self.started)} {end} {reason} {shlex.join(self.options.command)}")


def claim(folder: RunFolder, options: Options, identity: Mapping[str, Json], *, whole: bool = True) -> None:
    """Raise IdentityMismatch where the folder is another model's; `--fresh` puts it aside instead.

    Args:
        folder: of the run.
        options: as given.
        identity: of the model; a part of it where it is not open yet.
        whole: it is all of the identity.
    """
    if not options.fresh:
        remedy = "give --output another folder, or --fresh to put this one aside"
        folder.claim({**identity, "overrides": _overrides(options).as_json()}, remedy, whole=whole)


def _overrides(options: Options) -> Overrides:
    return Overrides(generation=dict(options.generation), system=options.system)


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds")


def _there(run: RunFile | None, folder: RunFolder) -> RunFile:
    """The run, which this invocation made or read; somebody may have taken its file away meanwhile."""
    if run is None:
        raise HarnessError("run.json is gone", where=str(folder.path), remedy="restore the file, or run with --fresh")
    return run
