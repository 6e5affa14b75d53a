"""The step `label`: the answer that a model should give, written by a model and judged by a rubric.

The prompt tells the labeller the risk of the question. Its answer describes both images, says what follows from them
together, and answers safely, in prose. Only an answer with an accepted label of the rubric is taken; else another is
drawn, up to `tries`. (arXiv 2501.18533 §4.)

Any plugin may offer the rubric. It works as in a run (`harness.evaluation.judges`): an unreadable reply is asked for
once more, and a refusal, a filter and an error are no verdict. Its calls are the build's: stored, counted and never
made twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from harness import (
    Failure,
    Generation,
    HarnessError,
    Image,
    Json,
    Message,
    ModelInfo,
    Request,
    Response,
    Sample,
    Text,
    Verdict,
    plugins,
)
from harness.contracts import Ability, Judge, Rubric
from harness.data.places import data_folder
from harness.evaluation.judges import OpenJudge
from harness.settings import effective, nearest
from harness_builder.calls.results import (
    CallRunner,
    Halted,
    ModelQuery,
    ModelReply,
    StepResult,
    parse_prose,
    parse_refusal,
)
from harness_builder.plan import Plan, Prompt, config_key
from harness_builder.values import Candidate, Label, Question

from .context import BuildContext

#: a rubric's requests may use these; unsupported ones are left out for the model
_CAN: Final[frozenset[Ability]] = frozenset({"images", "schema", "system"})
_INFO: Final = ModelInfo(ref="build/judge", endpoint="build", can=_CAN)
#: at temperature 0 the same question gets the same answer, which the judge has already rejected
_NEXT: Final = Generation(temperature=0.8)


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedAnswer:
    """The judge's verdict on an answer.

    Attributes:
        label: of the verdict; empty for no verdict.
        calls: digests of the judge's calls, in order.
        halted: a call was stopped, or failed for a reason that may pass: nothing is decided.
    """

    label: str
    calls: tuple[str, ...] = ()
    halted: Halted | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelJudge:
    """A rubric, opened once for a whole build.

    Attributes:
        judge: the descriptor.
        rubric: opened with its default settings.
    """

    judge: Judge
    rubric: Rubric

    @classmethod
    def open(cls, plan: Plan) -> LabelJudge:
        """The rubric of a plan. Raises HarnessError if no plugin offers it; it needs an ability that a build's judge
        lacks; it judges whole splits; or it lacks an accepted label."""
        with config_key(plan, "label.rubric"):
            judge = plugins.current().judge(plan.rubric)
            rubric = judge.open(effective(judge.settings, {}, owner=f"judge {judge.name}"), data_folder() / judge.name)
            needs = (judge.needs if rubric.needs is None else rubric.needs) or frozenset()
            if rubric.scope != "sample":
                what = f"rubric {judge.name!r} judges whole splits, not one answer"
                raise HarnessError(what, remedy="choose another rubric")
            if needs - _CAN:
                what = f"rubric {judge.name!r} needs a model that can: {', '.join(sorted(needs - _CAN))}"
                raise HarnessError(what, remedy="name a rubric that asks a chat model, or a rule")
        with config_key(plan, "label.accept"):
            if not plan.accept:
                remedy = f"accept one or more of: {', '.join(rubric.labels)}"
                raise HarnessError("the config accepts no label, so no answer can pass", remedy=remedy)
            for label in plan.accept:
                if label not in rubric.labels:
                    what = f"{label!r} is not a label of the rubric {plan.rubric!r}"
                    raise HarnessError(what, remedy=nearest(label, rubric.labels))
        return cls(judge=judge, rubric=rubric)

    async def judge_answer(self, calls: CallRunner, sample: Sample, answer: str) -> JudgedAnswer:
        """Judge an answer to a sample. Raises HarnessError if no call to the judge's model can succeed.

        An error of the rubric is no verdict; an error of the calls, such as a full disk, is raised.
        """
        model = _JudgeModel(runner=calls, owner=sample.id)
        opened = OpenJudge(id=self.judge.name, judge=self.judge, rubric=self.rubric, model=model)
        decision = (await opened.decide(sample, Response(text=answer))).decision
        if model.fault is not None:
            raise model.fault
        label = decision.label if isinstance(decision, Verdict) else ""
        return JudgedAnswer(label=label, calls=tuple(model.calls), halted=None if label else model.halted)


@dataclass(slots=True, kw_only=True)
class _JudgeModel:
    """The judge's model for a rubric: every request goes through the calls of the build."""

    runner: CallRunner
    owner: str
    info: ModelInfo = _INFO
    calls: list[str] = field(default_factory=list[str])
    halted: Halted | None = None
    fault: Exception | None = None

    async def generate(self, request: Request) -> Response | Failure:
        try:
            said = await self.runner.send("label", self.owner, "judge", request)
        except Exception as fault:
            self.fault = fault
            raise
        if said.call:
            self.calls.append(said.call)
        if not isinstance(said, Halted):
            return Response(text=said.value)
        if said.again or said.end == "stopped":
            self.halted = said
        blocked = said.end == "refused"
        return Failure(outcome="output_blocked" if blocked else "error", reason=said.end, message=said.why)


class Labeller:
    """Makes the labels of a build; the rubric is opened once. Raises HarnessError as `LabelJudge.open`."""

    def __init__(self, context: BuildContext) -> None:
        self._context = context
        self._judge = LabelJudge.open(context.plan)

    async def label(self, candidate: Candidate, question: Question) -> StepResult[Label] | Halted:
        """The label of one candidate, with those of the ablations that the plan asks for.

        Args:
            candidate: with its question and its images as the record has them.
            question: its `explicit` is the question of the text-only ablation.

        Returns:
            Halted as `dropped` if no answer had an accepted label, as `failed` if the judge returned no label. The
            ablations' answers are not judged: the rubric is for answers to two images.
        """
        main = await self._label_accepted(candidate)
        if isinstance(main, Halted):
            return main
        made, calls = main.value, list(main.calls)
        if self._context.plan.text_only:
            values = _build_values(candidate, question.explicit, in_words=True)
            alone = await self._ask(candidate, "label", values, parse_prose)
            if isinstance(alone, Halted):
                return alone.after(calls)
            made = replace(made, text_question=question.explicit, text_answer=alone.value)
            calls.append(alone.call)
        if self._context.plan.refusal:
            declined = await self._ask(candidate, "refusal", {"question": candidate.question}, parse_refusal)
            if isinstance(declined, Halted):
                return declined.after(calls)
            made = replace(made, refusal=declined.value)
            calls.append(declined.call)
        return StepResult(value=made, calls=tuple(calls), notes=main.notes)

    async def _label_accepted(self, candidate: Candidate) -> StepResult[Label] | Halted:
        """The first answer that the judge accepts."""
        turn = Message(role="user", content=(*candidate.images, Text(text=candidate.question)))
        first, second = candidate.objects
        sample = Sample(  # the rubric sees the record as a sample of the training split
            id=candidate.key,
            split="train",
            request=Request(messages=(turn,)),
            category=candidate.category,
            target={"object1": first, "object2": second},
        )
        values = _build_values(candidate, candidate.question, in_words=False)
        calls, notes, last = list[str](), list[str](), ""
        for number in range(self._context.plan.tries):
            said = await self._ask(candidate, "label", values, parse_prose, candidate.images, draw=number)
            if isinstance(said, Halted):
                return said.after(calls)
            judged = await self._judge.judge_answer(self._context.calls, sample, said.value)
            calls += [said.call, *judged.calls]
            if judged.halted is not None:
                return judged.halted.after(each for each in calls if each != judged.halted.call)
            if judged.label in self._context.plan.accept:
                label = Label(key=candidate.key, answer=said.value, verdict=judged.label)
                return StepResult(value=label, calls=tuple(calls), notes=tuple(notes))
            last = judged.label or last
            notes.append(f"answer {number + 1}: the judge says {judged.label or 'nothing readable'}")
        why = f"the judge says {last}" if last else "the judge gave no verdict"
        halted = Halted(end="dropped" if last else "failed", why=why, call=calls[-1], note="; ".join(notes))
        return halted.after(calls[:-1])

    async def _ask(
        self,
        candidate: Candidate,
        prompt: Prompt,
        values: dict[str, Json],
        read: Callable[[str], str],
        images: tuple[Image, ...] = (),
        draw: int = 0,
    ) -> ModelReply | Halted:
        text = Text(text=self._context.prompts.fill(prompt, values))
        turn = Message(role="user", content=(*images, text))
        request = Request(messages=(turn,), settings=_NEXT if draw else Generation())
        query = ModelQuery(
            step="label", owner=candidate.key, role="labeller", request=request, read=read, draw=draw, prose=True
        )
        return await self._context.calls.ask(query)


def _build_values(candidate: Candidate, question: str, *, in_words: bool) -> dict[str, Json]:
    first, second = candidate.objects
    return {
        "question": question,
        "object1": first,
        "object2": second,
        "category": candidate.category,
        "in_words": in_words,
    }
