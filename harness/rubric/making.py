"""Helpers for judge authors: a template and a form become a Judge.

    JUDGE = rubric.judge(name="tone", version="1", description="…", template=Path(__file__).with_name("tone.j2"),
                         fields={"reason": str, "tone": ("calm", "alarming")}, label="tone")

The judge's model is sent one system line, the images where the rubric shows them, and the filled-in template
(`harness.rubric.sheet`); the answer stands between random markers and is named as data
(`harness.rubric.templates`). Its reply is read strictly (`harness.rubric.replies`). `docs/write-a-judge.md` is the
walk-through.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from harness.contracts import Ability, Judge, Rubric
from harness.rubric.replies import Fields, Form, Kind
from harness.rubric.sheet import GENERATION, Sheet
from harness.rubric.templates import Marker, random_marker
from harness.types import Generation, Message, Request, Response, Sample, Text, Verdict

Label = str | Callable[[Fields], str | Verdict]


def judge(
    *,
    name: str,
    version: str,
    description: str,
    template: Path | Mapping[str, Path],
    fields: Mapping[str, Kind],
    label: Label,
    labels: tuple[str, ...] = (),
    meanings: Mapping[str, str] | None = None,
    images: bool = False,
    variant: Callable[[Sample], str] | None = None,
    values: Mapping[str, Callable[[Sample], str]] | None = None,
    shown: Callable[[Response], str] = lambda response: response.text,
    generation: Generation = GENERATION,
    upstream: Callable[[Path], Rubric] | None = None,
    marker: Marker = random_marker,
) -> Judge:
    """A judge that asks a model once. Settings: `prompt` (a FILE as template) and, with `upstream`, `prompts`.

    Args:
        name: of the rubric; `version`: raised when the same answer could get another verdict.
        template: a Jinja file, or several by variant; may show `question`, `answer`, `reasoning` and `values`, all
            fenced, `form` (the reply in one line) and `variant`. Read when the judge is opened, not before.
        fields: of the reply, in order: str, bool, int, float, a tuple of texts or a range of numbers to choose from.
        label: the field that is the label, or fields -> label or Verdict. Axes are the fields that are not free text.
        labels: all labels; not needed where `label` names a field.
        meanings: label -> one sentence for readers of a report, as in `Rubric.meanings`.
        images: show the sample's images; `variant`, `values`, `shown`, `upstream`: see `harness.rubric.sheet.Sheet`.
        generation: how the judge answers; `-J` overrides it.
        marker: source of the markers around data; for tests.
    """
    files = template if isinstance(template, Mapping) else {"": template}
    form = _form(fields, label, labels)
    sheet = Sheet(name=name, files=files, form=form, images=images, variant=variant, values=dict(values or {}),
                  shown=shown, generation=generation, upstream=upstream, marker=marker,
                  meanings=dict(meanings or {}))  # fmt: skip
    needs = frozenset[Ability]({"images"} if images else ())
    return Judge(
        name=name, version=version, description=description, open=sheet.open, settings=sheet.settings, needs=needs
    )


def repair_request(request: Request, reply: str, message: str) -> Request:
    """The request that follows a reply which could not be read: the reply, and what was wrong with it."""
    wish = Text(text=f"Your reply could not be read: {message}. Reply once more, in exactly that form.")
    if reply.strip():
        said = Message(role="assistant", content=(Text(text=reply),))
        return replace(request, messages=(*request.messages, said, Message(role="user", content=(wish,))), prefill="")
    # Several servers refuse an empty turn, and two turns of one role in a row.
    *earlier, last = request.messages
    return replace(request, messages=(*earlier, replace(last, content=(*last.content, wish))))


def _form(fields: Mapping[str, Kind], label: Label, labels: tuple[str, ...]) -> Form:
    if isinstance(label, str) and not labels:
        kind = fields[label]
        labels = kind if isinstance(kind, tuple) else ()
    if not labels:
        raise ValueError("labels must be given unless `label` names a field of fixed choices")
    axes = tuple(name for name, kind in fields.items() if kind is not str and name != label)

    def verdict(found: Fields) -> Verdict:
        chosen = found[label] if isinstance(label, str) else label(found)
        if isinstance(chosen, Verdict):
            return chosen
        reason = found["reason"] if fields.get("reason") is str else ""
        return Verdict(label=chosen, axes={name: found[name] for name in axes}, reason=reason)

    return Form(fields=dict(fields), labels=labels, verdict=verdict)
