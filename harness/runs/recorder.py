"""run.json: who was asked, how, with what, and what each invocation did; and results.json at its end."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness import plugins, settings
from harness.contracts import Model, Results
from harness.data.places import data_folder
from harness.engine.assignment import Assignment
from harness.engine.session import Session
from harness.models import Resolved, identity_digest
from harness.options import Options
from harness.plan.splits import SplitPlan
from harness.runs.conclude import Conclusion, conclude
from harness.runs.environment import environment
from harness.store.folder import RunFolder
from harness.types import Json

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
        ours: the folder is known to be this model's, so that its history may be written.
        aside: where `--fresh` put the folder that was there before.
    """

    folder: RunFolder
    options: Options
    started: float
    primary: bool = False
    judging: bool = False
    ours: bool = False
    aside: Path | None = None

    def refuse(self, identity: Mapping[str, Json]) -> None:
        """Raise IdentityMismatch, with the fields that differ, where the folder is another model's."""
        if not self.options.fresh:
            self.folder.claim(
                {**identity, "overrides": self._overrides},
                "give --output another folder, or --fresh to put this one aside",
            )

    def enter(self, identity: Mapping[str, Json], resolved: Resolved, model: Model) -> None:
        """Make the folder this model's; with `--fresh` an old one is put aside first."""
        if self.options.fresh:
            self.aside = _put_aside(self.folder.path)
        with self.folder.changing("run.json") as run:
            run.setdefault("schema", SCHEMA)
            run.setdefault("started", _iso(self.started))
            run["model"] = {
                "ref": resolved.spec.ref,
                "resolved": model.info.resolved,
                "settings": identity["settings"],
                "strategy": identity["strategy"],
            }
            run["identity"] = {**identity, "overrides": self._overrides}
            run["identity_digest"] = identity_digest(identity)
            run["overrides"] = self._overrides
            run["plugins"] = dict(plugins.current().provenance())
            run["environment"] = environment()
            run.setdefault("judges", {})
            run.setdefault("tasks", {})
        self.ours = True

    def stopped(self, session: Session, error: BaseException) -> None:
        """An invocation that ended early: noted where the folder is ours, and nothing else is changed."""
        if self.ours:
            told = "interrupted" if not isinstance(error, Exception) else f"{type(error).__name__}: {error}"
            self._history(session, "stopped", told)

    def conclude(self, session: Session) -> Results:
        """Write what was done into run.json, then results.json from the lines of the folder."""
        with self.folder.changing("run.json") as run:
            run["plugins"].update(plugins.current().provenance())
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

    @property
    def _overrides(self) -> dict[str, Json]:
        return {"generation": dict(self.options.generation), "system": self.options.system}

    def _enter(self, run: dict[str, Any], assignment: Assignment, session: Session) -> None:
        plan = assignment.plan
        task = run["tasks"].setdefault(plan.display, {"splits": {}})
        entry = task["splits"].setdefault(plan.name, {})
        chosen = session.chosen.get((plan.display, plan.name), ())
        if chosen and (self.primary or not entry.get("judge")):
            entry["judge"] = chosen[0].id
        if self.judging:
            return
        task["task"] = plan.task.name
        task["version"] = plan.task.version
        task["settings"] = settings.changed(plan.task.settings, plan.settings)
        task["data"] = _data(plan, self.options)
        entry["packaged"] = plan.split.data is not None
        entry["generation"] = _sent(plan, entry.get("generation", {}), session.dropped)
        listed = (plan.display, plan.name) in session.contents
        if "epochs" not in entry or (listed and not assignment.keep):
            entry["epochs"] = assignment.epochs
            entry["limit"] = self.options.limit
            entry["content"] = session.contents.get((plan.display, plan.name), "")
            entry["found"] = assignment.survey.found if assignment.survey else None

    def _history(self, session: Session, end: str, reason: str) -> None:
        now = datetime.now(UTC).timestamp()
        with self.folder.changing("run.json") as run:
            run.setdefault("history", []).append(
                {
                    "started": _iso(self.started),
                    "finished": _iso(now),
                    "seconds": round(now - self.started, 3),
                    "command": list(self.options.command),
                    "tasks": [assignment.plan.title for assignment in session.assignments],
                    "end": end,
                    "reason": reason,
                }
            )
        self.folder.log(f"{_iso(self.started)} {end} {reason} {shlex.join(self.options.command)}")


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds")


def _data(plan: SplitPlan, options: Options) -> dict[str, Json]:
    source = plan.task.source
    return {
        "root": str(options.root(plan.task.name).absolute()),
        "folder": str(data_folder(options.data).absolute()),
        "source": "" if source is None else source.hub or source.url,
        "revision": "" if source is None else source.revision,
        "licence": "" if source is None else source.licence,
    }


def _sent(plan: SplitPlan, before: Mapping[str, Json], dropped: frozenset[str]) -> dict[str, Json]:
    """The effective generation settings, null where the model refused one, now or in an earlier invocation.

    An invocation that asks nothing new does not hear of it again.
    """
    wanted = asdict(plan.generation)
    gone = dropped | {name for name, value in before.items() if value is None}
    return {name: None if name in gone else value for name, value in wanted.items()}


def _put_aside(folder: Path) -> Path | None:
    """The old run stays beside, under a name with the time and out of the way of `runs/*`."""
    if not (folder / "run.json").exists():
        return None
    return folder.rename(folder.with_name(f".{folder.name}.{datetime.now(UTC):%Y%m%dT%H%M%S%f}"))
