"""The public door: `run`, `run_async` and `judge_async`, from options to a finished run folder."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import plan, plugins
from .contracts import Model, Results, RunInfo
from .errors import HarnessError
from .keys import short
from .limits import Endpoints, Metered
from .models import Resolved, identity_digest, resolve
from .options import Options
from .past import past
from .plan import SplitPlan
from .probe import probe
from .progress import Progress, SilentProgress
from .recorder import Recorder
from .sampling import Survey, survey
from .session import Assignment, Session
from .store import RunFolder, file_name
from .work import Stop

if TYPE_CHECKING:
    import pandas as pd

RUNS = Path("runs")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run that ended.

    Attributes:
        folder: where everything is.
        results: the dict of results.json.
        exit_code: 0 done, 3 done but incomplete.
        notes: what the user should read.
    """

    folder: Path
    results: Results
    exit_code: int = 0
    notes: tuple[str, ...] = ()

    def to_frame(self) -> pd.DataFrame:
        """One row for each task, split and metric (pandas is imported here)."""
        from .frame import frame

        return frame([self.results])


async def run_async(options: Options, *, progress: Progress | None = None, stop: Stop | None = None) -> Run:
    """Answer and judge. Raises HarnessError for what the user can mend; what was answered is kept.

    Args:
        options: what to do.
        progress: told what happens; None says nothing.
        stop: set its `asked` to end early; the run then raises Interrupted.
    """
    started = _now()
    plans = plan.make(options)
    surveys = [surveyed(each, options) for each in plans]
    resolved = resolve(options.model)
    _check_epochs(options)
    folder = RunFolder(options.output or default_folder(options))
    if options.fresh:
        _put_aside(folder.path)
    assignments = [
        Assignment(plan=each, epochs=options.epochs, survey=found) for each, found in zip(plans, surveys, strict=True)
    ]
    recorder = Recorder(folder=folder, options=options, started=started)
    session = _session(options, assignments, folder, progress, stop)
    with session.progress, session.observers:
        await _answer(session, resolved, recorder)
        return _finish(session, recorder)


async def judge_async(
    folder: Path,
    options: Options,
    *,
    tasks: Sequence[str] = (),
    primary: bool = False,
    progress: Progress | None = None,
    stop: Stop | None = None,
) -> Run:
    """Judge the stored answers of a run, again or with another judge; nothing is asked of the model.

    Args:
        folder: of the run.
        options: judges and their settings; the rest is read from the folder.
        tasks: `NAME` or `NAME:SPLIT` of those in the folder; empty is all.
        primary: the judge given becomes the one whose numbers stand first.
        progress: told what happens; None says nothing.
        stop: as for `run_async`.
    """
    run = RunFolder(folder)
    known = past(run, options, tasks)
    recorder = Recorder(folder=run, options=known.options, started=_now(), primary=primary, judging=True)
    session = _session(known.options, known.assignments, run, progress, stop)
    session.digest = known.digest
    with session.progress, session.observers:
        await session.judging()
        return _finish(session, recorder)


def run(options: Options, *, progress: Progress | None = None) -> Run:
    """`run_async` from ordinary code, in a thread of its own: it works in a notebook too."""
    from anyio.from_thread import start_blocking_portal

    with start_blocking_portal() as portal:
        return portal.call(lambda: run_async(options, progress=progress))


def surveyed(each: SplitPlan, options: Options) -> Survey:
    """List a split once, before anything is opened or spent. Raises MissingData or BadData."""
    return survey(each.samples(), options.limit)


def default_folder(options: Options) -> Path:
    """`runs/<scheme>-<name>`, and six hex digits when anything overrides the model's defaults."""
    spec = options.model
    name = Path(spec.name).name if Path(spec.name).exists() else spec.name
    changed: dict[str, Any] = {**options.overrides, **resolve(spec).overrides}
    suffix = f"-{short(changed, 6)}" if changed else ""
    return RUNS / f"{file_name(f'{spec.scheme}-{name}')}{suffix}"


def _session(
    options: Options,
    assignments: Sequence[Assignment],
    folder: RunFolder,
    progress: Progress | None,
    stop: Stop | None,
) -> Session:
    host = plugins.current()
    info = RunInfo(
        folder=folder.path,
        model=options.model.ref,
        tasks=tuple(assignment.plan.title for assignment in assignments),
        judges=options.judges,
        plugins=host.provenance(),
    )
    return Session(
        options=options,
        assignments=assignments,
        folder=folder,
        progress=progress or SilentProgress(),
        stop=stop or Stop(),
        observers=host.observe(info),
        endpoints=Endpoints(options.policy),
        digest="",
    )


async def _answer(session: Session, resolved: Resolved, recorder: Recorder) -> None:
    """The phases that need the model, then the judges that wait for it to be gone."""
    sequential = _sequential(session, resolved)
    async with _evaluated(session, resolved, recorder) as model:
        await (session.answering(model) if sequential else session.overlapping(model))
    if sequential and not session.stop.asked:
        await session.judging()


@asynccontextmanager
async def _evaluated(session: Session, resolved: Resolved, recorder: Recorder) -> AsyncGenerator[Model]:
    """The evaluated model: opened, checked, probed, and known to the folder."""
    options = session.options
    async with resolved.provider.open(resolved.spec.name, resolved.settings) as inner:
        _check_abilities(session, inner)
        identity = resolved.identity(inner)
        session.digest = identity_digest(identity)
        recorder.claim(identity, resolved, inner)
        if options.probe:
            await _probe(session, resolved.wrap(inner))
        yield resolved.wrap(Metered(inner, session.endpoints))


async def _probe(session: Session, model: Model) -> None:
    most = max((a.survey.most_images for a in session.assignments if a.survey), default=0)
    session.finding = await probe(model, images=most, policy=session.options.policy)
    if not session.finding.in_order:
        session.notes.append(
            f"{model.info.ref} did not name the {session.finding.images} probe images in order; it answered: "
            f"{session.finding.answer[:200]!r}"
        )


def _check_abilities(session: Session, model: Model) -> None:
    """Refuse before the run what the model cannot answer: fewer images than a sample holds, or a missing ability."""
    for assignment in session.assignments:
        found = assignment.survey
        if found is None:
            continue
        missing = found.needs - model.info.can
        if missing:
            raise HarnessError(
                f"{model.info.ref} cannot answer {assignment.plan.title}: it has no {', '.join(sorted(missing))}"
            )
        most = model.info.max_images
        if most is not None and most < found.most_images:
            raise HarnessError(
                f"{assignment.plan.title} shows {found.most_images} images at once; {model.info.ref} takes {most}",
                remedy="run it on a model that takes several images: none is ever dropped",
            )


def _sequential(session: Session, resolved: Resolved) -> bool:
    if session.options.phases != "auto":
        return session.options.phases == "sequential"
    judges = {choice.model for assignment in session.assignments for choice in assignment.plan.judges if choice.model}
    host = plugins.current()
    return resolved.provider.local and any(host.provider(ref.partition("/")[0]).local for ref in judges)


def _finish(session: Session, recorder: Recorder) -> Run:
    """Conclude, or say why not: what is written is kept and running again goes on from it."""
    if session.stop.asked:
        recorder.stopped(session)
        raise session.stop.reason or KeyboardInterrupt
    results = recorder.conclude(session)
    session.observers.finished(results)
    return Run(
        folder=session.folder.path,
        results=results,
        exit_code=recorder.exit_code(session, results),
        notes=tuple(session.notes),
    )


def _put_aside(folder: Path) -> None:
    """`--fresh`: the old run stays beside, under a name with the time."""
    if (folder / "run.json").exists():
        folder.rename(folder.with_name(f"{folder.name}.{datetime.now(UTC):%Y%m%dT%H%M%S%f}.old"))


def _check_epochs(options: Options) -> None:
    if options.epochs < 1:
        raise HarnessError("--epochs must be at least 1")
    if options.limit is not None and options.limit < 1:
        raise HarnessError("--limit must be at least 1")


def _now() -> float:
    return time.time()
