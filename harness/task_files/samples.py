"""The samples of a task file: its records read one by one, each checked when it becomes a sample."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final, cast

from harness.errors import BadData, BadImage, MissingData
from harness.readers import DataFiles, Row, inside, open_files, together
from harness.readers.places import IN_PARQUET
from harness.readers.tables import as_list, is_place, read_header, read_table, suffix
from harness.settings import nearest
from harness.task_files.layouts import KNOWN, LETTERS, PREVIOUS, arrange, relative_path
from harness.task_files.words import Words, name_column, read_text, read_value
from harness.types import Image, Json, Message, Part, Request, Sample, Text
from harness.yaml_files import Place, YamlText

#: our words behind a question with options, where the question does not show them itself
QUIZ: Final = "\n\n{options}\n\nReply with the letter of the one right option and nothing else."
ANSWERS: Final[Mapping[str, str]] = {"yes": "yes", "no": "no", "true": "yes", "false": "no", "1": "yes", "0": "no"}
MARK: Final = re.compile(r"<image(?:[ _](\d{1,3}))?>")
_LOOKED_AT: Final = 100  # records of a JSON or parquet file whose fields are its columns
_ADDRESS: Final = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSource:
    """Images of a record; see the schema's `images`.

    Attributes:
        words: the column, or the template of a path.
        base64: whether a cell holds the image itself.
        folder: in front of a path.
        suffix: behind it.
        optional: whether a record may have none.
        listed: whether the cell is the text of a list.
        place: in the task file.
    """

    words: Words
    base64: bool = False
    folder: str = ""
    suffix: str = ""
    optional: bool = False
    listed: bool = False
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitSource:
    """Which records are of a split.

    Attributes:
        files: names or patterns below the data root.
        where: column -> values, one of which a record has.
        known: values that the column of the splits may have; None for any.
        column: the column that says which split a record is of; empty for none.
    """

    files: tuple[str, ...]
    where: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    known: frozenset[str] | None = None
    column: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How records become samples; what is empty was not named.

    Attributes:
        yaml: the task file, for messages.
        task: its name.
        layout: of the records.
        question: the text that is asked.
        system: the system message.
        images: in order.
        order: where the images stand.
        identity: the column of the ids.
        category, cluster: columns.
        tags: tag -> column.
        target: name -> column or template.
        choices: a column or a template with a list, or a column for each option.
        options: the same options for each record.
        answer: the right answer.
        yes_no: whether the answer is yes or no.
        matched: whether the answer is what a model's answer equals or holds; then it may be a list.
        checked: whether a missing image ends the listing.
        hub: whether the data is fetched.
        implied: keys that the layout gave, whose columns may be absent.
    """

    yaml: YamlText
    task: str
    layout: str
    question: Words
    system: Words | None = None
    images: tuple[ImageSource, ...] = ()
    order: str = "images first"
    identity: str = ""
    category: str = ""
    cluster: str = ""
    tags: Mapping[str, str] = field(default_factory=dict[str, str])
    target: Mapping[str, Words] = field(default_factory=dict[str, Words])
    choices: tuple[Words, ...] = ()
    options: tuple[str, ...] = ()
    answer: Words | None = None
    yes_no: bool = False
    matched: bool = False
    checked: bool = True
    hub: bool = False
    implied: frozenset[str] = frozenset()


def list_samples(reading: Reading, root: Path, split: str, source: SplitSource) -> Iterator[Sample]:
    """The samples of one split, lazily; those of one cluster are together.

    Raises:
        MissingData: a file is missing.
        BadData: a record is not what the task file says; the message names file, record and field.
    """
    made = _make_samples(reading, open_files(root), split, source)
    return together(made, lambda sample: sample.cluster or ("", sample.id)) if reading.cluster else made


def _make_samples(reading: Reading, files: DataFiles, split: str, source: SplitSource) -> Iterator[Sample]:
    names = _find_files(reading, files, source.files)
    stems = Counter(Path(name).stem for name in names)
    seen: dict[int, str] = {}
    for name in names:
        columns, rows = _open_rows(reading, files, name)
        maker = _Maker(_fit(reading, columns, name, source), files, split, name)
        stem = Path(name).stem
        called = stem if stems[stem] == 1 else name.removesuffix(Path(name).suffix)
        for row in rows:
            if not _is_of_split(row, source):
                continue
            sample = maker.make(row, numbered=f"{called}-{row.number}" if len(names) > 1 else str(row.number))
            before = seen.setdefault(hash(sample.id), row.place)
            if before is not row.place:
                column = reading.identity or "id"
                remedy = "give each record an id of its own, or leave id out: then records are numbered"
                what = f"the id {sample.id!r} is also that of {before}"
                raise BadData(what, where=f"{row.place}, field {column}", remedy=remedy)
            yield sample


def _find_files(reading: Reading, files: DataFiles, wanted: Sequence[str]) -> list[str]:
    found: list[str] = []
    for name in wanted:
        try:
            inside(name)
        except BadImage:
            place = reading.yaml.find(("data", "files"))
            raise BadData(
                f"{name} leads out of the data's folder", where=place, remedy="see -T NAME.data=DIR"
            ) from None
        matched = files.matching(name)
        if not matched:
            if reading.hub:  # whoever lists it adds the command that fetches it, with size, licence and gate
                raise MissingData(f"{name} (data.files of {reading.yaml.where}) is not there", where=str(files.root))
            remedy = f"correct data.files of {reading.yaml.where}, or name the folder: -T {reading.task}.data=DIR"
            raise MissingData(f"{name} is not there", where=str(files.root), remedy=remedy)
        found += matched
    return list(dict.fromkeys(found))


def _open_rows(reading: Reading, files: DataFiles, name: str) -> tuple[tuple[str, ...], Iterable[Row]]:
    """The columns of a file, and its records."""
    cells = {column for image in reading.images if image.base64 for column in image.words.columns}
    rows = arrange(read_table(files, name, cells=cells), reading.layout)
    if known := KNOWN[reading.layout].columns:
        return known, rows
    if suffix(name) in (".csv", ".tsv"):
        return read_header(files, name), rows
    first = list(islice(rows, _LOOKED_AT))
    return tuple(dict.fromkeys(column for row in first for column in row.values)), chain(first, rows)


def _fit(reading: Reading, columns: Sequence[str], name: str, source: SplitSource) -> Reading:
    """The reading for a file with these columns. Raises BadData for a column that the file does not have."""
    if reading.layout == "vlmevalkit":
        letters = tuple(name_column(letter) for letter in LETTERS if letter in columns)
        if not reading.choices and not reading.yes_no:
            reading = replace(reading, choices=letters)
        if "images" in reading.implied and "image" not in columns and "image_path" in columns:
            (image,) = reading.images
            reading = replace(reading, images=(replace(image, words=name_column("image_path"), base64=False),))
    there = frozenset(columns)
    named: list[tuple[Place, Iterable[str]]] = [
        (("id",), [reading.identity] if reading.identity else []),
        (("question",), reading.question.columns),
        (("system",), reading.system.columns if reading.system else ()),
        *((image.place, image.words.columns) for image in reading.images),
        (("category",), [reading.category] if reading.category else []),
        (("cluster",), [reading.cluster] if reading.cluster else []),
        *((("tags", tag), [column]) for tag, column in reading.tags.items()),
        *((("target", key), words.columns) for key, words in reading.target.items()),
        *((("choices",), words.columns) for words in reading.choices),
        (("answer",), reading.answer.columns if reading.answer else []),
        (("splits", "column"), [source.column] if source.column else []),
        (("splits",), [column for column in source.where if column != source.column]),
    ]
    for place, wanted in named:
        for column in wanted:
            if column not in there:
                where = reading.yaml.find(place)
                raise BadData(f"{name} has no column {column!r}", where=where, remedy=nearest(column, columns))
    return reading


def _is_of_split(row: Row, source: SplitSource) -> bool:
    if source.column and source.known is not None:
        value = read_text(row, source.column)
        if value not in source.known:
            raise BadData(
                f"the split {value!r} is not one of the file's splits",
                where=f"{row.place}, field {source.column}",
                remedy=f"{nearest(value, source.known)} Or name it under splits.values, or write others: left out",
            )
    return all(read_text(row, column) in values for column, values in source.where.items())


class _Maker:
    """Makes the samples of one file."""

    def __init__(self, reading: Reading, files: DataFiles, split: str, name: str) -> None:
        self._reading = reading
        self._files = files
        self._split = split
        self._name = name
        self._shown: Mapping[str, Json] | None = None  # id -> the image of that record

    def make(self, row: Row, *, numbered: str) -> Sample:
        """The sample of a record. Raises BadData."""
        reading = self._reading
        name = read_text(row, reading.identity, default=None).strip() if reading.identity else numbered
        if not name or not name.isprintable():
            raise BadData(
                f"the id {name!r} is not a plain text",
                where=f"{row.place}, field {reading.identity}",
                remedy="write letters, digits or signs there, or leave out id: then records are numbered",
            )
        options = self._read_options(row)
        shown = "\n".join(f"({letter}) {text}" for letter, text in options.items())
        text = reading.question.fill(row, {"options": shown})
        images = [image for source in reading.images for image in self._find_images(row, source)]
        if not text.strip() and not (images and KNOWN[reading.layout].columns):
            field_name = reading.question.columns[0] if not reading.question.template else "question"
            raise BadData(
                f"field {field_name!r} is blank",
                where=f"{row.place}, field {field_name}",
                remedy="write the question there, or remove the record",
            )
        if options and "options" not in reading.question.uses:
            text += QUIZ.replace("{options}", shown)
        content = self._order(row, text, images)
        tags = {tag: read_text(row, column) for tag, column in reading.tags.items()}
        return Sample(
            id=name,
            split=self._split,
            request=Request(messages=(*self._list_before(row), Message(role="user", content=content))),
            category=read_text(row, reading.category) if reading.category else "",
            tags={tag: value for tag, value in tags.items() if value},
            cluster=read_text(row, reading.cluster) if reading.cluster else "",
            target=self._build_target(row, options),
        )

    def _list_before(self, row: Row) -> Iterator[Message]:
        """The system message, and the turns before the last one."""
        reading = self._reading
        if reading.system is not None and (system := reading.system.fill(row, {})).strip():
            yield Message(role="system", content=(Text(text=system),))
        if not KNOWN[reading.layout].columns:
            return
        for turn in cast("list[dict[str, Any]]", row.values.get(PREVIOUS) or []):
            if turn["role"] not in ("user", "assistant"):
                raise BadData(f"a turn is of {turn['role']!r}", where=row.place, remedy="known: user, assistant")
            shown = [self._open(row, path, source) for path in turn["images"] for source in reading.images[:1]]
            words = (Text(text=turn["text"]),) if turn["text"] else ()
            yield Message(role=turn["role"], content=(*shown, *words))

    def _read_options(self, row: Row) -> dict[str, str]:
        reading = self._reading
        if reading.options:
            return dict(zip(LETTERS, reading.options, strict=False))
        if not reading.choices:
            return {}
        first, *others = reading.choices
        name = first.columns[0] if first.columns else "choices"
        place = f"{row.place}, field {name}"
        if others:
            texts = [words.fill(row, {}) for words in reading.choices]
        else:
            try:
                texts = [str(each) for each in as_list(first.fill(row, {}) if first.template else row.values.get(name))]
            except ValueError as error:
                raise BadData(
                    f"field {name!r} is {error}", where=place, remedy='write a list of texts: ["one", "two"]'
                ) from None
        while texts and not texts[-1].strip():
            texts.pop()
        if len(texts) < 2 or len(texts) > len(LETTERS) or not all(text.strip() for text in texts):
            what = "an option between others is blank" if len(texts) > 1 else "there are fewer than two options"
            raise BadData(what, where=place, remedy=f"write 2 to {len(LETTERS)} options, blanks after the last")
        return dict(zip(LETTERS, texts, strict=False))

    def _build_target(self, row: Row, options: Mapping[str, str]) -> Json:
        reading = self._reading
        target: dict[str, Json] = {
            key: words.fill(row, {}) if words.template else read_value(row, words.columns[0])
            for key, words in reading.target.items()
        }
        if reading.answer is not None:
            column = reading.answer.columns[0] if reading.answer.columns else "answer"
            place = f"{row.place}, field {column}"
            value: Json = None if reading.answer.template else row.values.get(column)
            if isinstance(value, list) and reading.matched and value:
                return {**target, "answer": [str(each) for each in cast("Sequence[Json]", value)]}
            said = reading.answer.fill(row, {}).strip()
            if not said:
                raise BadData(
                    f"field {column!r} is missing",
                    where=place,
                    remedy="write the right answer there, or remove the record",
                )
            if options:
                letter = _find_letter(said, options, place, letters=reading.layout == "vlmevalkit")
                target |= {"answer": letter, "options": dict(options)}
            elif reading.yes_no:
                if said.lower() not in ANSWERS:
                    raise BadData(
                        f"the answer {said!r} is neither yes nor no",
                        where=place,
                        remedy=f"write one of: {', '.join(ANSWERS)}",
                    )
                target["answer"] = ANSWERS[said.lower()]
            else:
                target["answer"] = said
        elif options:
            target["options"] = dict(options)
        return target or None

    def _find_images(self, row: Row, source: ImageSource) -> Iterator[Image]:
        """The images of one source. Raises BadData."""
        if source.words.template:
            yield self._open(row, source.words.fill(row, {}), source)
            return
        column = source.words.columns[0]
        value: Json = row.values.get(column)
        place = f"{row.place}, field {column}"
        if isinstance(value, str) and source.listed and not source.base64 and value.strip():
            try:
                value = as_list(value)
            except ValueError as error:
                remedy = 'write a list of paths: ["a.png", "b.png"]'
                raise BadData(f"field {column!r} is {error}", where=place, remedy=remedy) from None
        values = cast("Sequence[Json]", value) if isinstance(value, list) else [value]
        for each in values:
            if each is None or each == "":
                if source.optional:
                    continue
                what = f"field {column!r} has no image"
                raise BadData(what, where=place, remedy="write {column: …, optional: true} if a record may have none")
            if isinstance(each, dict) and "path" in each:  # JSON made from the hub's struct
                each = cast("Mapping[str, Json]", each)["path"]
            if not isinstance(each, str):
                remedy = 'write a path, or a list of paths: ["a.png", "b.png"]'
                raise BadData(f"field {column!r} is neither a path nor a list of paths", where=place, remedy=remedy)
            yield self._open(row, each, source)

    def _open(self, row: Row, value: str, source: ImageSource) -> Image:
        """The image at a place, checked to be there."""
        reading, column = self._reading, source.words.columns[0] if source.words.columns else "images"
        where = f"{row.place}, field {column}"
        if source.base64:
            return self._files.image(self._find_cell(value, where, column))
        if IN_PARQUET in value:
            return self._files.image(value)
        if _ADDRESS.match(value) or value.startswith("data:"):
            what = f"{value[:60]!r} is {'an address' if _ADDRESS.match(value) else 'an image, not a path'}"
            remedy = "download the images, and name their paths" if _ADDRESS.match(value) else "write as: base64"
            raise BadData(what, where=where, remedy=remedy)
        if KNOWN[reading.layout].columns:
            value = relative_path(value, str(self._files.root.absolute()), source.folder)
        elif source.folder:
            value = f"{source.folder.rstrip('/')}/{value}"
        value += source.suffix
        try:
            path = inside(value)
            there = not reading.checked or self._files.has(path)
            if not there:
                self._files.stamp(path)
        except BadImage as fault:
            leads_out = fault.reason == "outside_root"
            what = f"the image {value!r} " + ("leads out of the data's folder" if leads_out else "is not there")
            how = f"images lie below {self._files.root}"
            if not leads_out:
                known = f"images.folder and images.suffix of {reading.yaml.where}"
                how = f"{how}: see {known}; data.images: as they come counts it as a bad sample"
            raise BadData(what, where=where, remedy=how) from None
        return self._files.image(path)

    def _find_cell(self, value: str, where: str, column: str) -> str:
        """The place of an image in a cell; a cell of digits names another record."""
        if is_place(value):
            return value
        if suffix(self._name) == ".parquet":
            what = f"the parquet column {column!r} holds base64 text, which is not read"
            raise BadData(what, where=where, remedy="write it as JSON lines, or as a column of images")
        if self._shown is None:
            identity = self._reading.identity
            rows = read_table(self._files, self._name, cells=(column,)) if identity else ()
            self._shown = {read_text(row, identity): row.values.get(column) for row in rows}
        found = self._shown.get(value)
        if not isinstance(found, str) or not is_place(found):
            raise BadData(
                f"the cell {value!r} is neither an image nor the id of a record with one",
                where=where,
                remedy="write the image in base64 there, or the id of the record that holds it",
            )
        return found

    def _order(self, row: Row, text: str, images: Sequence[Image]) -> tuple[Part, ...]:
        if self._reading.order != "marks":
            words = (Text(text=text),) if text.strip() else ()
            return (*images, *words) if self._reading.order == "images first" else (*words, *images)
        marks = list(MARK.finditer(text))
        if len(marks) != len(images):
            what = f"the question has {len(marks)} marks <image>, and the record {len(images)} images"
            raise BadData(what, where=row.place, remedy="write a mark for each image, or leave out order: marks")
        parts: list[Part] = []
        places: list[int] = []
        at = 0
        for number, mark in enumerate(marks, 1):
            shown = int(mark[1] or number)
            if not 1 <= shown <= len(images):
                raise BadData(
                    f"the question marks image {shown} of {len(images)}",
                    where=row.place,
                    remedy="count the images from 1",
                )
            places.append(shown)
            parts += [Text(text=before)] if (before := text[at : mark.start()]).strip() else []
            parts.append(images[shown - 1])
            at = mark.end()
        if left := sorted(set(range(1, len(images) + 1)) - set(places)):
            remedy = f"write <image {left[0]}> where it belongs"
            raise BadData(f"the question marks no place for image {left[0]}", where=row.place, remedy=remedy)
        return (*parts, *((Text(text=text[at:]),) if text[at:].strip() else ()))


def _find_letter(said: str, options: Mapping[str, str], place: str, *, letters: bool) -> str:
    """The letter of an answer: a letter, the text of an option, or its number from 0. Raises BadData.

    What could mean two options is refused, unless `letters` says that answers are letters wherever they can be.
    """
    letter = said.strip("().").upper()
    meant = {
        "the letter of": [letter] if letter in options else [],
        "the text of": [each for each, text in options.items() if text.strip() == said],
        "the number of": [list(options)[int(said)]] if said.isdecimal() and int(said) < len(options) else [],
    }
    found = sorted({each for those in meant.values() for each in those})
    if letters and letter in options:
        return letter
    if len(found) == 1:
        return found[0]
    if not found:
        raise BadData(f"the answer {said!r} is not an option", where=place, remedy=f"known: {', '.join(options)}")
    named = ", ".join(f"{what} {each}" for what, those in meant.items() for each in those)
    what = f"the answer {said!r} may mean {' or '.join(found)}: it is {named}"
    raise BadData(what, where=place, remedy="write the one that is right in a way that means no other")
