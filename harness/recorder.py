"""run.json: who was asked, how, with what, and what each invocation did; and results.json at its end."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from . import plugins, settings
from .conclude import Conclusion, conclude
from .contracts import Model, Results
from .environment import environment
from .models import Resolved, identity_digest
from .options import Options
from .plan import SplitPlan
from .session import Assignment, Session
from .store import RunFolder
from .types import Json

SCHEMA = "harness.run/1"


@dataclass(slots=True, kw_only=True)
class Recorder:
    """Writes what a run folder says about itself.

    Attributes:
        folder: of the run.
        options: of this invocation.
        started: Unix time in seconds.
        primary: the judge of this invocation becomes the one whose numbers stand first.
        judging: this invocation only judges.
    """

    folder: RunFolder
    options: Options
    started: float
    primary: bool = False
    judging: bool = False

    def claim(self, identity: Mapping[str, Json], resolved: Resolved, model: Model) -> None:
        """Make the folder this model's. Raises IdentityMismatch with the fields that differ."""
        overrides = {"generation": dict(self.options.generation), "system": self.options.system}
        self.folder.claim(
            {**identity, "overrides": overrides}, "give --output another folder, or --fresh to put this one aside"
        )
        with self.folder.changing("run.json") as run:
            run.setdefault("schema", SCHEMA)
            run.setdefault("started", _iso(self.started))
            run["model"] = {
                "ref": resolved.spec.ref,
                "resolved": model.info.resolved,
                "settings": settings.identity(resolved.provider.settings, resolved.settings),
                "strategy": identity["strategy"],
            }
            run["identity"] = {**identity, "overrides": overrides}
            run["identity_digest"] = identity_digest(identity)
            run["overrides"] = overrides
            run["plugins"] = dict(plugins.current().provenance())
            run["environment"] = environment()
            run.setdefault("judges", {})
            run.setdefault("tasks", {})

    def stopped(self, session: Session) -> None:
        """An invocation that ended early: noted, and nothing else is changed."""
        reason = "interrupted" if session.stop.reason is None else str(session.stop.reason)
        self._history(session, "stopped", reason)

    def conclude(self, session: Session) -> Results:
        """Write what was done into run.json, then results.json from the lines of the folder."""
        with self.folder.changing("run.json") as run:
            for bench in session.benches:
                run["judges"][bench.id] = dict(bench.card)
            for assignment in session.assignments:
                self._enter(run, assignment, session)
            if session.finding is not None:
                run["probe"] = asdict(session.finding)
        self._history(session, "done", "")
        conclusion = Conclusion(
            folder=self.folder,
            plans=[assignment.plan for assignment in session.assignments],
            min_coverage=self.options.min_coverage,
            command=self.options.command,
        )
        with self.folder.changing("results.json") as results:
            new = conclude(conclusion, dict(results))
            results.clear()
            results.update(new)
        return new

    def exit_code(self, session: Session, results: Results) -> int:
        """0 done, 3 done but incomplete; what is missing is added to the session's notes."""
        notes = session.notes
        for plan, error in session.failed:
            notes.append(f"{plan.title} ended early: its task raised {error}")
        for bench in session.benches:
            if bench.dead is not None:
                notes.append(f"judge {bench.id} stopped: {bench.dead}")
        missing = [plan for plan in _plans(session) if not plan.judges]
        notes += [_unjudged(self.folder, plan) for plan in missing[:1]]
        incomplete = [plan for plan in _plans(session) if plan.judges and not _complete(results, plan)]
        for plan in incomplete:
            notes.append(f"{plan.title} is incomplete: see coverage, outcomes and verdicts; running again tries again")
        notes += _sizes(session)
        return 3 if session.failed or missing or incomplete else 0

    def _enter(self, run: dict[str, Any], assignment: Assignment, session: Session) -> None:
        plan = assignment.plan
        task = run["tasks"].setdefault(plan.display, {"splits": {}})
        task["task"] = plan.task.name
        task["version"] = plan.task.version
        task["settings"] = settings.changed(plan.task.settings, plan.settings)
        task["data"] = _data(plan, self.options)
        entry = task["splits"].setdefault(plan.name, {})
        chosen = session.chosen.get((plan.display, plan.name), ())
        if chosen and (self.primary or not entry.get("judge")):
            entry["judge"] = chosen[0].id
        entry["packaged"] = plan.split.data is not None
        if not self.judging:
            entry["epochs"] = assignment.epochs
            entry["limit"] = self.options.limit
            entry["generation"] = asdict(plan.generation)
            entry["content"] = session.contents.get((plan.display, plan.name), entry.get("content", ""))
            entry["found"] = assignment.survey.found if assignment.survey else None

    def _history(self, session: Session, end: str, reason: str) -> None:
        with self.folder.changing("run.json") as run:
            run.setdefault("history", []).append(
                {
                    "started": _iso(self.started),
                    "finished": _iso(datetime.now(UTC).timestamp()),
                    "seconds": round(datetime.now(UTC).timestamp() - self.started, 3),
                    "command": list(self.options.command),
                    "tasks": [plan.title for plan in _plans(session)],
                    "end": end,
                    "reason": reason,
                }
            )
        self.folder.log(f"{_iso(self.started)} {end} {reason} {shlex.join(self.options.command)}")


def _plans(session: Session) -> list[SplitPlan]:
    return [assignment.plan for assignment in session.assignments]


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds")


def _data(plan: SplitPlan, options: Options) -> dict[str, Json]:
    from .plan import task_root

    source = plan.task.source
    root = task_root(options, plan.task.name)
    return {
        "root": str(root.absolute()),
        "folder": str(root.absolute().parent),
        "source": "" if source is None else source.hub or source.url,
        "revision": "" if source is None else source.revision,
        "licence": "" if source is None else source.licence,
    }


def _complete(results: Results, plan: SplitPlan) -> bool:
    return bool(results["tasks"][plan.display]["splits"][plan.name]["complete"])


def _unjudged(folder: RunFolder, plan: SplitPlan) -> str:
    """The one command that finishes a run whose answers wait for a judge."""
    return (
        f"the answers wait for a judge: rubric {plan.default.name!r} needs a model, and none is ever assumed; "
        f"finish with: harness judge {folder.path} --judge SCHEME/NAME"
    )


def _sizes(session: Session) -> list[str]:
    return [
        f"{a.plan.title} holds {a.survey.found} samples; {a.plan.split.n} are published: is the copy whole?"
        for a in session.assignments
        if a.survey is not None and a.plan.split.n not in (None, a.survey.found)
    ]
