"""Which judge: from `--judge` and `-T NAME.judge` to the rubrics of one split and the models that answer for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import plugins, settings
from harness.contracts import Ability, Judge, Rubric, Split
from harness.errors import HarnessError
from harness.options import Options
from harness.types import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeChoice:
    """A rubric to use on a split, and the model that answers for it; a rule has none.

    Attributes:
        judge: the descriptor.
        model: `scheme/name`, or empty.
        settings: of the rubric, complete.
        root: DIR/<rubric>, where its data lies.
        translation: of its labels into those of the split.
        images: most images a sample of the split holds.
    """

    judge: Judge
    model: str = ""
    settings: Settings
    root: Path
    translation: Mapping[str, str]
    images: int

    def needs(self, rubric: Rubric | None = None) -> frozenset[Ability]:
        """Abilities its model must have under its settings; opens the rubric where it is not given."""
        opened = rubric or self.judge.open(self.settings, self.root)
        return (self.judge.needs if opened.needs is None else opened.needs) or frozenset()


def default_judge(split: Split, task: str, options: Options) -> Judge:
    """The rubric that judges a split unless `--judge` says otherwise: the split's first, or `-T <task>.judge`."""
    default = plugins.current().judge(str(options.given(task).get("judge") or next(iter(split.judges))))
    if default.name not in split.judges:
        raise HarnessError(
            f"{task} does not accept rubric {default.name!r}", remedy=f"it accepts: {', '.join(split.judges)}"
        )
    return default


def choose(split: Split, default: Judge, options: Options) -> tuple[JudgeChoice, ...]:
    """The judges of one split, the primary one first; none where it needs a model and none was named."""
    chosen = [pair for text in options.judges for pair in _picked(text, split, default, options.judges)]
    if not chosen and default.needs is None:
        chosen = [(default, "")]
    return tuple(
        JudgeChoice(
            judge=judge,
            model=model,
            settings=_settings(judge, options),
            root=options.root(judge.name),
            translation=split.judges[judge.name],
            images=split.images or 0,
        )
        for judge, model in dict.fromkeys(chosen)
    )


def check_rubrics(judges: Sequence[str], splits: Iterable[Split]) -> None:
    """A rubric that is named and accepted nowhere is a mistake, and so is a model for a rule."""
    accepted = {name for split in splits for name in split.judges}
    for text in judges:
        rubric, model = split_judge(text)
        if not rubric:
            continue
        judge = plugins.current().judge(rubric)
        if rubric not in accepted:
            raise HarnessError(
                f"no split of this run accepts rubric {rubric!r}", remedy=f"they accept: {', '.join(sorted(accepted))}"
            )
        if model and judge.needs is None:
            raise HarnessError(f"rubric {rubric!r} is a rule and asks no model", remedy=f"--judge {rubric}")


def unasked(judges: Sequence[str], choices: Iterable[JudgeChoice]) -> list[str]:
    """What to say of models that were named and that no rubric of these choices asks."""
    pairs = dict.fromkeys((choice.judge.name, choice.model) for choice in choices)
    asked, rules = {model for _, model in pairs}, [name for name, model in pairs if not model]
    why = f"no model is asked by the rule {', '.join(rules)}" if rules else "no rubric of this run asks it"
    bare = [text for text in dict.fromkeys(judges) if not split_judge(text)[0]]
    return [f"--judge {text} is not used: {why}" for text in bare if text not in asked]


def split_judge(text: str) -> tuple[str, str]:
    """`MODEL`, `RUBRIC` or `RUBRIC=MODEL` as (rubric, model), either of which may be empty."""
    head, equals, tail = text.partition("=")
    if equals and "/" not in head:
        return head, tail
    return ("", text) if "/" in text else (text, "")


def _settings(judge: Judge, options: Options) -> Settings:
    declared = {setting.name for setting in judge.settings}
    own = {key: value for key, value in options.given(judge.name).items() if key in declared}
    return settings.effective(judge.settings, own, owner=f"judge {judge.name}")


def _picked(text: str, split: Split, default: Judge, every: Sequence[str]) -> Iterable[tuple[Judge, str]]:
    """What one `--judge` means for one split."""
    rubric, model = split_judge(text)
    if not rubric:
        return [(default, model)] if default.needs is not None else []
    if rubric not in split.judges:
        return []
    judge = plugins.current().judge(rubric)
    if judge.needs is None or model:
        return [(judge, model)]
    models = [other for other in every if not split_judge(other)[0]]
    if not models:
        raise HarnessError(f"rubric {rubric!r} needs a model", remedy=f"--judge {rubric}=SCHEME/NAME")
    return [(judge, split_judge(models[0])[1])]
