"""Ends open batches of a run folder at their providers: `harness batches RUN --cancel`.

The models and their settings are those that run.json recorded for the run's commands. What a batch has answered before
its end is collected by the run's next command, which asks for the rest again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from harness.batches import BatchLog, BatchRecord, list_batches
from harness.batches.side import CheckedBatches
from harness.errors import HarnessError
from harness.evaluation.judges import GENERATION, select_settings
from harness.evaluation.options import JudgeOptions, Options
from harness.evaluation.splits import split_judge
from harness.http.batching import Batches, BatchState, CallFailed
from harness.models import ModelSpec, Resolved, resolve
from harness.runs.option_record import read_options
from harness.store.folder import RunFolder
from harness.store.run_file import RunFile

_OPEN: Final = ("submitting", "open")


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelledBatch:
    """A batch whose end was asked for.

    Attributes:
        record: as the run folder knew it before.
        state: how far it is now; None if that is unknown.
        why: why it was not cancelled; empty if it was.
    """

    record: BatchRecord
    state: BatchState | None = None
    why: str = ""


async def cancel_batches(folder: Path, ids: Collection[str] = ()) -> list[CancelledBatch]:
    """Ask the providers to end a run's open batches, and look at each once more.

    Args:
        folder: the run folder; another process may be waiting for its batches.
        ids: of the batches, as `harness batches` lists them; none for all open ones.

    Raises:
        HarnessError: an id is none of an open batch, or run.json does not say how a model is opened.
    """
    file = RunFolder(folder).load_run()
    waiting = {part.batch or part.part: part for part in list_batches(folder).parts.values() if part.stage in _OPEN}
    for each in ids:
        if each not in waiting:
            remedy = f"open are: {', '.join(waiting)}" if waiting else "no batch of this run is open"
            raise HarnessError(f"{each!r} is not an open batch of this run", where=str(folder), remedy=remedy)
    chosen = [part for name, part in waiting.items() if not ids or name in ids]
    models = {model.channel: model for model in _list_models(file, folder)}
    for part in chosen:
        if part.channel not in models:
            raise HarnessError(
                f"run.json does not say how {part.model} is opened, so its batches cannot be cancelled from here",
                where=str(folder),
                remedy=f"cancel {part.batch or part.part} at its provider: the run collects its answers",
            )
    found: list[CancelledBatch] = []
    for channel in dict.fromkeys(part.channel for part in chosen):
        resolved = models[channel]
        async with resolved.open(images=0) as model:
            side = CheckedBatches(resolved.batches_of(model))
            found += [await _cancel(side, part) for part in chosen if part.channel == channel]
    with suppress(HarnessError):  # a process that waits for them notes it itself
        log = BatchLog(folder)
        try:
            for done in found:
                if done.state is not None and done.state.state == "open":
                    log.note_state(done.record.part, done=done.state.done, said=done.state.message)
        finally:
            log.close()
    return found


async def _cancel(side: Batches, record: BatchRecord) -> CancelledBatch:
    """Cancel one batch; if that is refused, it may have ended before."""
    if not record.batch:
        why = "it has no id yet: give the run's command once more, which looks for it at the provider"
        return CancelledBatch(record=record, why=why)
    why, state = "", None
    try:
        await side.cancel(record.batch)
    except (CallFailed, HarnessError) as error:
        why = str(error)
    try:
        state = await side.poll(record.batch)
    except (CallFailed, HarnessError) as error:
        why = why or f"its state cannot be read: {error}"
    if state is not None and state.state != "open":
        why = ""  # there is nothing left to cancel
    return CancelledBatch(record=record, state=state, why=why)


def _list_models(file: RunFile, folder: Path) -> Iterator[Resolved]:
    """Each model that a command of this run has asked, as it was named."""
    begun = cast("Mapping[str, Any]", file.running.get("options") or {})
    for raw in (begun, *(each.options for each in file.history)):
        with suppress(HarnessError):  # it held a key, or is of another version: another command may name the model
            if raw.get("command") == "run":
                options = read_options(Options, raw, str(folder))
                yield resolve(ModelSpec(ref=options.model.ref, settings=options.model.settings))
                yield from _list_judges(options)
            elif raw.get("command") == "judge":
                yield from _list_judges(read_options(JudgeOptions, raw, str(folder)))


def _list_judges(options: Options | JudgeOptions) -> Iterator[Resolved]:
    names = {setting.name for setting in GENERATION}
    given = options.judge_settings
    for rubric, ref in map(split_judge, options.judges):
        if not ref:
            continue
        # a judge that names no rubric may ask for several, each with settings of its own
        for each in [rubric] if rubric else ["", *sorted({key.partition(".")[0] for key in given if "." in key})]:
            own = {name: value for name, value in select_settings(each, given).items() if name not in names}
            yield resolve(ModelSpec(ref=ref, settings=own))
