"""`--dry-run`: what a run would ask of whom, before anything is opened or spent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from harness.data.inspection import another_size
from harness.engine import benches
from harness.engine.assignment import Surveyed, nothing_listed, surveyed
from harness.errors import BadImage, HarnessError
from harness.models import Resolved, resolve
from harness.options import Options
from harness.plan.choosing import unasked
from harness.plan.planned import planned
from harness.plan.sampling import Survey
from harness.plan.splits import SplitPlan
from harness.plan.suites import LeftOut, told
from harness.replicas import places


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What one model, or one judge's model, would be asked for one split.

    Attributes:
        who: the model's reference.
        role: "model" or the rubric it answers for.
        where: it would be opened: this process, so many processes with their devices, or elsewhere for an API.
        task: task and split.
        samples: questions.
        calls: requests; for a judge at least this many, since a bad reply is asked for once more.
        images: images sent.
        bytes: of the image files that are sent; those that are missing count as zero.
        missing: image files that are not there.
        note: what is odd about the data: it holds another number of samples than is published; else empty.
        left_out: why a part of a suite cannot be run, and what mends it; empty where it can.
    """

    who: str
    role: str
    where: str
    task: str
    samples: int
    calls: int
    images: int
    bytes: int
    missing: int
    note: str
    left_out: str = ""


def dry_run(options: Options) -> list[Load]:
    """One Load for each model and split.

    Raises:
        HarnessError: what `run` would raise before it opens a model; nothing of what is asked can be run.
    """
    options.check()
    asked = planned(options)
    resolve(options.model, devices=options.devices)
    benches.check((choice for each in asked.splits for choice in each.judges), options)
    left_out, loads = list(asked.left_out), list[Load]()
    for each in asked.splits:
        try:
            loads += _loads(each, options)
        except HarnessError as error:
            if not each.suite:
                raise
            left_out.append(LeftOut(title=each.title, error=error))
    if not loads:
        nothing_listed(Surveyed(assignments=[], failed=[], left_out=left_out))
    return [*loads, *(_left_out(part, options) for part in left_out)]


def noted(options: Options) -> list[str]:
    """What a person should read of a run before it is asked for, beside its loads. Raises as `dry_run`."""
    return unasked(options.judges, (choice for each in planned(options).splits for choice in each.judges))


def _left_out(part: LeftOut, options: Options) -> Load:
    ref, nothing = options.model.ref, {"samples": 0, "calls": 0, "images": 0, "bytes": 0, "missing": 0}
    why = told([part])[0]
    return Load(who=ref, role="model", where="nowhere", task=part.title, **nothing, note="", left_out=why)


def _loads(each: SplitPlan, options: Options) -> Iterator[Load]:
    found = surveyed(each, options)
    size, missing = _weight(each, found)
    calls, images = found.samples * options.epochs, found.images * options.epochs

    def load(who: Resolved, role: str, *, shown: bool) -> Load:
        return Load(
            who=who.spec.ref,
            role=role,
            where=places.told(who.places) if who.provider.local else "elsewhere",
            task=each.title,
            samples=found.samples,
            calls=calls,
            images=images if shown else 0,
            bytes=size * options.epochs if shown else 0,
            missing=missing if shown else 0,
            note=another_size(each.title, found.found, each.split.n),
        )

    yield load(resolve(options.model, devices=options.devices), "model", shown=True)
    for choice in each.judges:
        judge = benches.Orders.of(choice, options).model
        if judge is not None:
            yield load(judge, choice.judge.name, shown="images" in choice.needs())


def _weight(each: SplitPlan, found: Survey) -> tuple[int, int]:
    """Bytes of all image files that are sent, and how many are missing; none is read."""
    size = missing = 0
    for sample in each.samples():
        for image in sample.request.images if found.takes(sample) else ():
            try:
                size += image.files.stamp(image.path)[1]
            except BadImage:
                missing += 1
    return size, missing
