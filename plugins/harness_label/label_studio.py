"""Label Studio's files: tasks and a labelling interface out; its JSON and JSON-MIN exports in.

    labels.json            the tasks: one for each answer
    labels.xml             the labelling interface, to paste under Settings, Labeling Interface, Code
    labels-images/         the images, by their hash; Label Studio serves them from a local storage

An export in full JSON holds `data` and `annotations` for each task, with one `result` for each control of the
interface: `label` (Choices) and `reason` (TextArea). JSON-MIN has the fields of `data`, and `label` and `reason` beside
them. Either may come from several annotators; one is imported at a time.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import quote

from harness import BadData, BadImage, HarnessError
from harness.files import atomic_write, report_write_errors
from harness.runs.label_sheets import FilledSheet, LabelRow, mark_answer, match_rows, open_new, read_work
from harness.runs.labelling import LabelItem, open_label_image
from harness.runs.stored import StoredRun
from harness.text import plain
from harness.types import Json

LABEL: Final = "label"  #: control with the choices
REASON: Final = "reason"  #: control with a free text
_LOCAL: Final = "/data/local-files/?d="  #: before the path of a file in a local storage
_ENDINGS: Final = {
    "image/png": "png",
    "image/jpeg": "jpg",
    "image/gif": "gif",
    "image/webp": "webp",
    "image/bmp": "bmp",
}
_PARTS: Final = re.compile(r"\n\s*\n|^\s*[#*-]+\s|\n(?=\s*\d+\.\s)", re.MULTILINE)  #: paragraphs, headings, items
_NAMED: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenTasks:
    """What was written.

    Attributes:
        interface: the file with the labelling interface.
        notes: what the user should know.
    """

    interface: Path
    notes: tuple[str, ...]


def write_tasks(file: Path, items: Sequence[LabelItem]) -> WrittenTasks:
    """Write tasks, the labelling interface and the images.

    Args:
        file: of the tasks; neither it nor the interface may exist.
        items: in order, all with the same labels.

    Raises:
        HarnessError: a file exists or cannot be written, or the splits have different labels.
    """
    kinds: dict[tuple[str, ...], str] = {}
    for item in items:
        kinds.setdefault(item.labels, item.title)
    if len(kinds) > 1:
        one, other, *_ = kinds.values()
        raise HarnessError(
            f"{one} and {other} have different labels, and a labelling interface has one set",
            remedy=f"export them one by one: --tasks {one}",
        )
    interface = file.with_suffix(".xml")
    folder = file.with_name(f"{file.stem}-images")
    notes: list[str] = []
    gone: dict[str, str] = {}
    with open_new(file, "the tasks") as tasks, open_new(interface, "the labelling interface") as screen:
        written = [_make_task(item, folder, gone) for item in items]
        json.dump(written, tasks, ensure_ascii=True, indent=1, allow_nan=False)
        tasks.write("\n")
        screen.write(build_interface(items))
    if gone:
        named = ", ".join(f"{path} ({why})" for path, why in list(gone.items())[:_NAMED])
        more = f", and {len(gone) - _NAMED} more" if len(gone) > _NAMED else ""
        notes.append(f"images are gone, and their tasks say so: {named}{more}; skip these tasks")
    if folder.is_dir():
        notes.append(
            f"images are in {folder}: start Label Studio with LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true and "
            f"LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT={folder.parent.resolve()}, and add a local storage of the images"
        )
    return WrittenTasks(interface=interface, notes=tuple(notes))


def _make_task(item: LabelItem, folder: Path, gone: dict[str, str]) -> dict[str, Json]:
    images: list[Json] = []
    question = item.question
    for number, image in enumerate(item.images):
        try:
            content = open_label_image(item, number)
        except BadImage as fault:
            gone[image.path] = fault.reason
            place = f"[image {number + 1}]"
            question = question.replace(place, f"[image {number + 1} is gone: skip this task]", 1)
            continue
        name = f"{content.sha256}.{_ENDINGS.get(content.mime, 'bin')}"
        if not (folder / name).exists():
            with report_write_errors(folder, remedy="give another --export"):
                atomic_write(folder / name, content.data, sync=False)
        images.append(f"{_LOCAL}{quote(f'{folder.name}/{name}')}")
    return {
        "data": {
            "item": item.item,
            "split": item.title,
            "category": item.category,
            "question": plain(question),
            "images": images,
            "answer": plain(item.answer),
            "answer_hash": mark_answer(item.answer_hash),
        }
    }


def build_interface(items: Sequence[LabelItem]) -> str:
    """The labelling interface of some items with the same labels."""
    lines = ["<View>"]
    guidelines = dict.fromkeys(item.guideline for item in items if item.guideline)
    told = [part for text in guidelines for part in re.split(_PARTS, text)]
    lines += [f'  <Header value="{_attribute(part)}" size="5"/>' for part in told if part.strip()]
    lines.append('  <Text name="question" value="$question"/>')
    if any(item.images for item in items):
        lines.append('  <Image name="image" valueList="$images"/>')
    lines.append('  <Text name="answer" value="$answer"/>')
    lines.append(f'  <Choices name="{LABEL}" toName="answer" choice="single" required="true" showInline="true">')
    for number, label in enumerate(items[0].labels, 1):
        hint = f' hint="{_attribute(items[0].meanings[label])}"' if items[0].meanings.get(label) else ""
        key = f' hotkey="{number}"' if number < 10 else ""
        lines.append(f'    <Choice value="{_attribute(label)}"{key}{hint}/>')
    lines.append("  </Choices>")
    lines.append(f'  <TextArea name="{REASON}" toName="answer" rows="2" maxSubmissions="1" placeholder="reason"/>')
    return "\n".join([*lines, "</View>", ""])


def _attribute(text: str) -> str:
    return escape(" ".join(plain(text).split()), quote=True)


def read_tasks(run: StoredRun, file: Path, annotator: str = "") -> FilledSheet:
    """Read one annotator's labels from an export of Label Studio.

    Args:
        run: opened with the splits that may be labelled.
        file: JSON or JSON-MIN.
        annotator: id or e-mail of the annotator as the export has it; empty if it has only one.

    Raises:
        BadData: it is no such file, has several annotators, or some tasks are wrong: it names each by its place in the
            file, as a row. Then nothing is to be kept.
    """
    try:
        document: Any = json.loads(read_work(file).decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise BadData(f"the file is not JSON: {error}", where=str(file)) from None
    tasks = _get_list(document, "") if isinstance(document, list) else [document]
    problems: list[str] = []
    found: list[tuple[tuple[str, ...], LabelRow]] = []
    for number, task in enumerate(tasks, 1):
        try:
            found += _read_task(number, task)
        except ValueError as error:
            problems.append(f"row {number}: {error}")
    people = list(dict.fromkeys(who[0] for who, _ in found if who))
    if annotator and not any(annotator in who for who, _ in found):
        raise BadData(
            f"no annotator of this file is called {annotator!r}",
            where=str(file),
            remedy=f"its annotators: {', '.join(people) or 'none'}",
        )
    if not annotator and len(people) > 1:
        raise BadData(
            f"the file holds labels of several annotators: {', '.join(people)}",
            where=str(file),
            remedy=f"import one at a time: --as NAME={people[0]}",
        )
    nameless = [row.number for who, row in found if not who]
    if not annotator and people and nameless:
        raise BadData(
            f"the file holds labels of {people[0]} and {len(nameless)} without an annotator's name, "
            f"the first in row {nameless[0]}",
            where=str(file),
            remedy=f"import those of one annotator: --as NAME={people[0]}",
        )
    rows = [row for who, row in found if not annotator or annotator in who]
    if not found and not problems:
        raise BadData(
            "no task of this file has an annotation",
            where=str(file),
            remedy="label the tasks in Label Studio, then export JSON or JSON-MIN",
        )
    return match_rows(run, rows, str(file), problems, remedy="label the tasks in Label Studio, then export again")


def _read_task(number: int, task: Any) -> Iterator[tuple[tuple[str, ...], LabelRow]]:
    """Annotator's names and label of each annotation of a task. Raises ValueError if it is none of an export."""
    fields = _get_object(task, "it is no task of Label Studio")
    if "data" not in fields:  # JSON-MIN
        label, reason = _read_choice(fields.get(LABEL)), _read_text(fields.get(REASON))
        if label:
            yield _read_annotator(fields.get("annotator")), _make_row(number, fields, label, reason)
        return
    data = _get_object(fields["data"], "its data is no object")
    for each in _get_list(fields.get("annotations"), "its annotations are no list"):
        annotation = _get_object(each, "one of its annotations is no object")
        label = reason = ""
        for result in _get_list(annotation.get("result"), "the result of an annotation is not a list"):
            control = _get_object(result, "a result of an annotation is no object")
            if control.get("from_name") == LABEL:
                label = _read_choice(control.get("value"))
            elif control.get("from_name") == REASON:
                reason = _read_text(control.get("value"))
        skipped = annotation.get("was_cancelled") is True
        if label or skipped:
            who = _read_annotator(annotation.get("completed_by"))
            yield who, _make_row(number, data, "" if skipped else label, reason, skipped=skipped)


def _get_object(value: Any, what: str) -> Mapping[str, Any]:
    if isinstance(value, dict):
        return cast("Mapping[str, Any]", value)
    raise ValueError(what)


def _get_list(value: Any, what: str) -> list[Any]:
    """A list; nothing for null."""
    if isinstance(value, list):
        return list(cast("Sequence[Any]", value))
    if value is None:
        return []
    raise ValueError(what)


def _make_row(number: int, data: Mapping[str, Any], label: str, reason: str, *, skipped: bool = False) -> LabelRow:
    item, mark = data.get("item"), data.get("answer_hash", "")
    if not isinstance(item, str) or not item or not isinstance(mark, str):
        raise ValueError("its data has no `item`, so it is not from harness label RUN --export")
    return LabelRow(number=number, item=item, label=label, reason=reason, answer_hash=mark, skipped=skipped)


def _read_annotator(who: Any) -> tuple[str, ...]:
    """What an annotator may be called: e-mail, id, or both; empty if the file does not say."""
    if isinstance(who, dict):
        fields = cast("Mapping[str, Any]", who)
        names: tuple[Any, ...] = (fields.get("email"), fields.get("id"))
    else:
        names = (who,)
    return tuple(str(name) for name in names if name not in (None, ""))


def _read_choice(value: Any) -> str:
    """The one choice of a Choices control; JSON-MIN has it as it is. Raises ValueError for several."""
    if isinstance(value, dict):
        value = cast("Mapping[str, Any]", value).get("choices")
    if isinstance(value, list):
        given = _get_list(value, "")
        if len(given) > 1:
            raise ValueError("it has several labels, and an answer takes one")
        return _read_choice(given[0]) if given else ""
    return "" if value is None else str(value)


def _read_text(value: Any) -> str:
    """The text of a TextArea control, its lines joined."""
    if isinstance(value, dict):
        value = cast("Mapping[str, Any]", value).get("text")
    if isinstance(value, list):
        return "\n".join(_read_text(each) for each in _get_list(value, ""))
    return "" if value is None else str(value)
