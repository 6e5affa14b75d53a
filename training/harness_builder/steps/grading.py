"""Judging a label by a rubric that any plugin offers, with a build's own model.

The rounds are those of a run's judge (`harness.engine.judging`): a reply that cannot be read is asked for once more,
and a refusal, a filter and an error are no verdict. The calls are the build's: kept, counted and never made twice.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from harness import Failure, HarnessError, ModelInfo, Request, Response, Sample, Verdict, plugins
from harness.contracts import Ability, Judge, Rubric
from harness.data.places import data_folder
from harness.engine.judging import Bench
from harness.settings import effective, nearest
from harness_builder.calls.values import Asker, Ended
from harness_builder.config.keys import at
from harness_builder.config.plan import Plan

#: a rubric's requests may use these; the asker leaves out what a model cannot
_CAN: Final[frozenset[Ability]] = frozenset({"images", "schema", "system"})
_INFO: Final = ModelInfo(ref="build/judge", endpoint="build", can=_CAN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Graded:
    """What came of an answer.

    Attributes:
        label: the verdict's; empty where there is none.
        calls: digests of the judge's calls, in order.
        ended: a call that failed for a reason that may pass, or was stopped: nothing is decided. None else.
    """

    label: str
    calls: tuple[str, ...] = ()
    ended: Ended | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Grader:
    """A rubric, opened once for a whole build.

    Attributes:
        judge: the descriptor.
        rubric: opened with its default settings.
    """

    judge: Judge
    rubric: Rubric

    @classmethod
    def open(cls, plan: Plan) -> Grader:
        """The rubric of a plan.

        Raises:
            HarnessError: nobody offers it; it needs what a build's judge is not asked; it judges whole splits; or a
                label that an answer must have is none of its labels.
        """
        with at(plan, "label.rubric"):
            judge = plugins.current().judge(plan.rubric)
            rubric = judge.open(effective(judge.settings, {}, owner=f"judge {judge.name}"), data_folder() / judge.name)
            _check_rubric(judge, rubric)
        with at(plan, "label.accept"):
            _check_labels(plan, rubric)
        return cls(judge=judge, rubric=rubric)

    async def grade(self, asker: Asker, sample: Sample, answer: str) -> Graded:
        """Judge one answer to a sample. Raises HarnessError where the judge's model will never work.

        What a rubric raises is its own fault and no verdict; what the asker raises, such as a full disk, is raised.
        """
        model = _Sent(asker=asker, owner=sample.id)
        bench = Bench(id=self.judge.name, judge=self.judge, rubric=self.rubric, model=model)
        decision = (await bench.decide(sample, Response(text=answer))).decision
        if model.fault is not None:
            raise model.fault
        label = decision.label if isinstance(decision, Verdict) else ""
        return Graded(label=label, calls=tuple(model.calls), ended=None if label else model.ended)


@dataclass(slots=True, kw_only=True)
class _Sent:
    """The judge's model, as a rubric's rounds ask it: whatever it is asked goes through the build's own calls."""

    asker: Asker
    owner: str
    info: ModelInfo = _INFO
    calls: list[str] = field(default_factory=list[str])
    ended: Ended | None = None
    fault: Exception | None = None

    async def generate(self, request: Request) -> Response | Failure:
        try:
            said = await self.asker.send("label", self.owner, "judge", request)
        except Exception as fault:
            self.fault = fault
            raise
        if said.call:
            self.calls.append(said.call)
        if not isinstance(said, Ended):
            return Response(text=said.value)
        if said.again or said.end == "stopped":
            self.ended = said
        blocked = said.end == "refused"
        return Failure(outcome="output_blocked" if blocked else "error", reason=said.end, message=said.why)


def _check_rubric(judge: Judge, rubric: Rubric) -> None:
    needs = (judge.needs if rubric.needs is None else rubric.needs) or frozenset()
    if rubric.scope != "sample":
        what = f"rubric {judge.name!r} judges whole splits, not one answer"
        raise HarnessError(what, remedy="name another rubric")
    if needs - _CAN:
        what = f"rubric {judge.name!r} needs a model that can: {', '.join(sorted(needs - _CAN))}"
        raise HarnessError(what, remedy="name a rubric that asks a chat model, or a rule")


def _check_labels(plan: Plan, rubric: Rubric) -> None:
    if not plan.accept:
        raise HarnessError("no label is accepted, so no answer ever is", remedy=_known(rubric))
    for label in plan.accept:
        if label not in rubric.labels:
            what = f"{label!r} is no label of the rubric {plan.rubric!r}"
            raise HarnessError(what, remedy=nearest(label, rubric.labels))


def _known(rubric: Rubric) -> str:
    return f"name one or more of: {', '.join(rubric.labels)}"
