"""The evaluated model: opened, checked against what it will be asked, probed, and known to the run folder."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Final

from harness import plugins
from harness.contracts import Model
from harness.errors import HarnessError
from harness.evaluation.context import RunContext
from harness.evaluation.options import Options
from harness.evaluation.probe import probe_model
from harness.evaluation.splits import JudgeChoice
from harness.limits.metered import Metered
from harness.models import Resolved, identity_digest
from harness.runs.recorder import Recorder

_LACKS: Final[Mapping[str, str]] = {
    "choices": "weighs no choices",
    "draw": "draws no images",
    "images": "takes no images",
    "prefill": "goes on with no answer that was begun for it",
    "raw": "takes no raw prompts",
    "schema": "has no structured output",
    "system": "takes no system message",
}


@asynccontextmanager
async def evaluated(context: RunContext, resolved: Resolved, recorder: Recorder) -> AsyncGenerator[Model]:
    """Open the model, metered and with its strategy around it. Nothing is written before the probe has passed.

    Raises:
        HarnessError: it cannot be opened, cannot answer what it would be asked, or does not answer at all.
        IdentityMismatch: the folder is another model's.
    """
    async with resolved.open(images=_most_images(context)) as inner:
        context.endpoints.watch(inner)
        _check_abilities(context, inner)
        identity = resolved.identity(inner)
        context.digest = identity_digest(identity)
        recorder.refuse(identity)
        if context.options.probe:
            await _probe(context, resolved.wrap(inner))
            context.endpoints.mark_answered(inner)
        recorder.enter(identity, resolved, inner)
        metered = Metered(inner, context.endpoints, before=context.folder.has_answers)
        context.breaker = metered.breaker
        try:
            yield resolved.wrap(metered)
        finally:
            context.dropped |= inner.info.dropped
            context.model_notes = inner.info.notes
            context.endpoints.listen()


async def _probe(context: RunContext, model: Model) -> None:
    most, policy = _most_images(context), context.options.policy
    context.probe_result = await probe_model(model, images=most, policy=policy, tell=context.progress.note)
    if not context.probe_result.in_order:
        note = (
            f"{model.info.ref} did not name the {context.probe_result.images} probe images in order; it answered: "
            f"{context.probe_result.answer[:200]!r}"
        )
        context.progress.note(note)
        context.notes.append(note)


def _most_images(context: RunContext) -> int:
    return max((a.survey.most_images for a in context.jobs if a.survey), default=0)


def _check_abilities(context: RunContext, model: Model) -> None:
    """Refuse before the run what the model cannot answer: fewer images than a sample holds, or a missing ability."""
    added = {"system"} if context.options.system else set[str]()
    for assignment in context.jobs:
        found = assignment.survey
        if found is None:
            continue
        missing = (found.needs | added) - model.info.can
        if missing:
            lacks = ", ".join(_LACKS.get(name, f"cannot {name}") for name in sorted(missing))
            raise HarnessError(
                f"{model.info.ref} cannot answer {assignment.plan.title}: it {lacks}",
                remedy="run it on a model that can: nothing of a question is ever left out",
            )
        most = model.info.max_images
        if most is not None and most < found.most_images:
            raise HarnessError(
                f"{assignment.plan.title} shows {found.most_images} images at once; {model.info.ref} takes {most}",
                remedy="run it on a model that takes several images: none is ever dropped",
            )


def unplaced(resolved: Resolved | None, choices: Iterable[JudgeChoice], options: Options) -> list[str]:
    """What to say of `--devices` where nothing is opened on this machine."""
    local = resolved is not None and resolved.provider.local
    if not options.devices or local or any(is_local(choice.model) for choice in choices):
        return []
    return ["--devices says nothing here: neither the model nor a judge runs on this machine"]


def sequential(context: RunContext, resolved: Resolved) -> bool:
    """Whether judging waits until the model is closed: where both run on this machine's accelerator."""
    if context.options.phases != "auto":
        return context.options.phases == "sequential"
    return resolved.provider.local and any(is_local(choice.model) for choice in context.choices)


def is_local(ref: str) -> bool:
    """Whether a model runs on this machine's accelerator; False for none."""
    return bool(ref) and plugins.current().provider(ref.partition("/")[0]).local
