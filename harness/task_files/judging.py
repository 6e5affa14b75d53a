"""The rubric of a task file: a template beside it, its labels, and how a reply is read."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, cast

from harness.contracts import Judge, Rubric
from harness.errors import HarnessError
from harness.readers import normalize_question
from harness.rubric import judge as make_judge
from harness.rubric.replies import Kind, unparsable
from harness.rubric.templates import TemplateFile
from harness.settings import nearest
from harness.types import Json, Request, Response, Sample, Settings, Unscored, Verdict
from harness.yaml_files import YamlText

MATCHED: Final = ("exact", "contains")  #: kinds that a rule of the file's own judges
RIGHT: Final = ("right", "wrong")  #: its labels
_KINDS: Final[Mapping[str, Kind]] = {"text": str, "true-false": bool}
_READ: Final = 20_000  #: characters of a reply that a pattern searches


def build_judge(name: str, given: Mapping[str, Any], template: TemplateFile, yaml: YamlText) -> Judge:
    """The rubric of a task file, called like its task.

    Args:
        name: of the task.
        given: the file's `rubric`.
        template: its text.
        yaml: the file, for messages.

    Raises:
        HarnessError: the fields do not hold the labels, or the pattern is none.
    """
    labels = tuple(cast("Sequence[str]", given["labels"]))
    meanings = cast("dict[str, str]", given["labels"]) if isinstance(given["labels"], dict) else {}
    fields = _build_fields(given, labels, yaml)
    label = given.get("label", "label")
    if fields.get(label) != labels:
        known = ", ".join(fields)
        what = f"the field {label!r}, which gives the label, is not one of the fields with all labels as its words"
        raise HarnessError(what, where=yaml.find(("rubric", "fields")), remedy=f"its fields are {known}")
    values = {each: _get_target(each) for each in given.get("values", ())}
    made = make_judge(
        name=name,
        version="1",
        description=f"the rubric of the task file {name}: {', '.join(labels)}",
        template=template,
        fields=fields,
        label=label,
        meanings=meanings,
        images=given.get("images", False),
        values=values,
    )
    if "parse" not in given:
        return made
    return _parse_by_pattern(made, given["parse"], labels, yaml)


def build_match(name: str, kind: str) -> Judge:
    """The rule of the kinds `exact` and `contains`: whether an answer equals the target, or holds it.

    Case, white space, and punctuation at the end do not count. A target may be a list, one of which is enough.
    """

    def decide(sample: Sample, response: Response) -> str:
        target = cast("Mapping[str, Json]", sample.target)["answer"]
        listed = cast("Sequence[Json]", target) if isinstance(target, list) else [target]
        wanted = [normalize_question(str(each)) for each in listed]
        said = normalize_question(response.text)
        held = [said == each if kind == "exact" else _holds(said, each) for each in wanted]
        return "right" if any(held) else "wrong"

    meanings = {"right": f"The answer {'is' if kind == 'exact' else 'holds'} the right one.", "wrong": "It does not."}
    if kind == "exact":
        meanings["wrong"] = "The answer is another one."
    about = f"a rule of the task file {name}: the answer {'equals' if kind == 'exact' else 'holds'} the target"
    return Judge.simple(name, version=f"1-{kind}", description=about, labels=meanings, decide=decide)


def _holds(said: str, wanted: str) -> bool:
    """Whether a text holds another as whole words."""
    return re.search(rf"(?<!\w){re.escape(wanted)}(?!\w)", said) is not None


def _build_fields(given: Mapping[str, Any], labels: tuple[str, ...], yaml: YamlText) -> dict[str, Kind]:
    named: Any = given.get("fields")
    if named is None:
        return {"reason": str, given.get("label", "label"): labels}
    found: dict[str, Kind] = {}
    for name, kind in named.items():
        found[name] = tuple(cast("list[str]", kind)) if isinstance(kind, list) else _KINDS[kind]
    label = given.get("label", "label")
    if label not in found:
        where = yaml.find(("rubric", "label") if "label" in given else ("rubric", "fields"))
        raise HarnessError(
            f"the rubric has no field {label!r} with the label", where=where, remedy=nearest(label, found)
        )
    if set(cast("tuple[str, ...]", found[label])) == set(labels) if isinstance(found[label], tuple) else False:
        found[label] = labels
    return found


def _get_target(name: str) -> Any:
    def get(sample: Sample) -> str:
        target: Json = sample.target
        value = cast("dict[str, Json]", target).get(name) if isinstance(target, dict) else None
        return "" if value is None else value if isinstance(value, str) else str(value)

    return get


def _parse_by_pattern(judge: Judge, given: Mapping[str, Any], labels: tuple[str, ...], yaml: YamlText) -> Judge:
    """The judge, whose reply is read by a pattern: no JSON is asked for, and all it finds must mean one label."""
    place = yaml.find(("rubric", "parse", "pattern"))
    try:
        pattern = re.compile(given["pattern"])
    except (re.error, RecursionError, OverflowError) as error:
        remedy = "write a regular expression of Python, in single quotes: 'Verdict: (\\w+)'"
        raise HarnessError(f"the pattern cannot be read: {error}", where=place, remedy=remedy) from None
    if not pattern.groups:
        raise HarnessError("the pattern has no group", where=place, remedy="put the label in brackets: Verdict: (\\w+)")
    words: Mapping[str, str] = given.get("words", {})
    for word, label in words.items():
        if label not in labels:
            what = f"the word {word!r} means {label!r}, which is not a label of the rubric"
            raise HarnessError(what, where=yaml.find(("rubric", "parse", "words", word)), remedy=nearest(label, labels))

    def read(_sample: Sample, _response: Response, replies: Sequence[Response]) -> Verdict | Unscored:
        found = [match[1] for match in pattern.finditer(replies[-1].text[:_READ]) if match[1]]
        known = {word.casefold(): label for word, label in words.items()} or {each.casefold(): each for each in labels}
        meant = {known.get(each.strip().casefold(), "") for each in found}
        if len(meant) != 1 or "" in meant:
            problem = "it names no label" if not meant else "it names several labels, or a word that is none"
            return unparsable(f"{problem}; expected {pattern.pattern} with one of {', '.join(words or labels)}")
        return Verdict(label=meant.pop(), reason=replies[-1].text.strip()[:_READ])

    def open_rubric(settings: Settings, root: Path) -> Rubric:
        rubric = judge.open(settings, root)

        def ask(sample: Sample, response: Response) -> list[Request]:
            return [replace(each, schema=None) for each in rubric.ask(sample, response)]

        parse = {"pattern": pattern.pattern, "words": dict(words)}
        return replace(rubric, ask=ask, read=read, identity={**rubric.identity, "parse": parse})

    return replace(judge, open=open_rubric)
