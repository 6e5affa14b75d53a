"""Checks the field types of a plugin's samples, splits, infos and rubrics, so that the core can rely on them.

Plugins are not type-checked when loaded, and a wrong field would fail far from its cause.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, cast, get_args

from harness.contracts import Attacked, DataSource, Group, ModelInfo, Paper, Rubric, Split
from harness.dialogues import find_dialogue_fault
from harness.errors import describe_value
from harness.metrics import Better, Metric
from harness.settings import nearest
from harness.types import (
    UNSCORED,
    Fidelity,
    Generation,
    Image,
    Message,
    Request,
    Role,
    Sample,
    Text,
    Unscored,
    Verdict,
)

_Types = type[Any] | tuple[type[Any], ...]
_Fields = Mapping[str, _Types]
_NONE: type[Any] = type(None)
_SEVERAL = (tuple, list)
_SAMPLE: _Fields = {"id": str, "split": str, "request": Request, "category": str, "tags": Mapping, "cluster": str}
_INFO: _Fields = {
    "ref": str,
    "resolved": str,
    "endpoint": str,
    "max_images": (int, _NONE),
    "local": bool,
    "concurrency": (int, _NONE),
    "fingerprint": Mapping,
    "can": (frozenset, set),
    "dropped": (frozenset, set),
    "notes": _SEVERAL,
    "single_turn": bool,
}
_RUBRIC: _Fields = {
    "identity": Mapping,
    "labels": (tuple, list, frozenset, set),
    "needs": (frozenset, set, _NONE),
}
_REQUEST: _Fields = {
    "settings": Generation,
    "schema": (Mapping, _NONE),
    "raw": bool,
    "choices": _SEVERAL,
    "prefill": str,
}
_GENERATION: _Fields = {
    "temperature": (int, float, _NONE),
    "max_tokens": (int, _NONE),
    "top_p": (int, float, _NONE),
    "seed": (int, _NONE),
    "stop": _SEVERAL,
}
_SPLIT: _Fields = {
    "n": (int, _NONE),
    "images": (int, _NONE),
    "judges": Mapping,
    "defaults": Generation,
    "blocked_as": Verdict,
    "empty_as": Verdict,
    "data": (Path, _NONE),
    "selected": bool,
    "template_hash": str,
    "source": (DataSource, _NONE),
}
_PAPER: _Fields = {
    "key": str,
    "title": str,
    "authors": tuple,
    "year": (int, _NONE),
    "venue": str,
    "journal": str,
    "arxiv": str,
    "url": str,
}
_KEY = r"[A-Za-z][A-Za-z0-9_.:-]*"
_ARXIV = r"\d{4}\.\d{4,5}|[a-z-]+(\.[A-Z]{2})?/\d{7}"
_VERDICT: _Fields = {"label": str, "axes": Mapping}
_METRIC: _Fields = {"name": str, "main": bool, "over_epochs": bool, "harmonic": int, "description": str}
_CHOICES: Mapping[str, Any] = {
    "better": Better,
    "unit": Literal["%", "0-1"],
    "combine": Literal["sum", "all", "any", "majority"],
}


def describe_wrong(given: object, wanted: type[Any]) -> str:
    """What is wrong with a plugin's sample, info or rubric; empty if nothing is."""
    if not isinstance(given, wanted):
        return describe_type(given, wanted)
    for field, value in _find_wrong(given, {Sample: _SAMPLE, ModelInfo: _INFO, Rubric: _RUBRIC}[wanted]):
        return f"it returned a {wanted.__name__} whose {field} is {value!r:.100}"
    why = ""
    if isinstance(given, Sample):
        why = _describe_wrong_messages(given.request.messages) or _describe_wrong_turns(given)
    elif isinstance(given, Rubric):
        odd = [each for each in cast("Collection[object]", given.needs or ()) if not isinstance(each, str)]
        why = f"whose needs hold {odd[0]!r:.100}, not an ability" if odd else ""
    return f"it returned a {wanted.__name__} {why}" if why else ""


def describe_wrong_calls(given: object) -> str:
    """What is wrong with a strategy's two numbers of calls; empty if nothing is."""
    match given:
        case (int() as least, None | int() as most) if isinstance(given, tuple):
            counts = not isinstance(least, bool) and not isinstance(most, bool)
            if counts and least >= 0 and (most is None or least <= most):
                return ""
        case _:
            pass
    return f"it returned {given!r:.100}, not how often it asks: at least and at most, such as (1, 3) or (1, None)"


def describe_wrong_count(given: object) -> str:
    """What is wrong with a number of images or of requests; empty if nothing is."""
    if isinstance(given, int) and not isinstance(given, bool) and given >= 0:
        return ""
    return f"it returned {given!r:.100}, not a number from 0"


def describe_wrong_request(given: object, *, opened: bool = True) -> str:
    """Why a model cannot be asked a request; empty if it can. `opened`: its images have to be open."""
    if not isinstance(given, Request):
        return f"{describe_value(given)}, not a Request"
    if why := _describe_wrong_messages(given.messages):
        return f"a Request {why}"
    for of, fields, said in ((given, _REQUEST, "whose"), (given.settings, _GENERATION, "whose settings have a")):
        for field, value in _find_wrong(of, fields):
            return f"a Request {said} {field} {'is' if of is given else 'of'} {value!r:.100}"
    if not all(isinstance(each, str) for each in cast("tuple[object, ...]", (*given.choices, *given.settings.stop))):
        return "a Request whose choices or stops are no texts"
    closed = [image.path for image in given.images if image.content is None]
    if opened and closed:
        return f"a Request whose image {closed[0]!r:.100} is not open"
    return ""


def describe_wrong_attacked(given: object) -> str:
    """What is wrong with what an attack made of a sample; empty if nothing is."""
    if not isinstance(given, Attacked):
        return ""  # told by its type
    if why := describe_wrong_request(given.request):
        return f"it returned an Attacked with {why}"
    notes = cast("object", given.notes)
    if not isinstance(notes, tuple) or not all(isinstance(note, str) for note in cast("tuple[object, ...]", notes)):
        return f"it returned an Attacked whose notes are {notes!r:.100}"
    return ""


def describe_wrong_first_requests(given: object) -> str:
    """What is wrong with what an attack asks first; empty if nothing is."""
    if why := describe_wrong_requests(given):
        return why
    faults = (describe_wrong_request(each) for each in cast("list[object]", given))
    return next((f"it returned a list with {why}" for why in faults if why), "")


def describe_wrong_decision(given: object, labels: Collection[str]) -> str:
    """Why a rubric's decision cannot be recorded, such as an unknown label; empty if it can."""
    if isinstance(given, Unscored):
        return f"it returned an Unscored whose state is {given.state!r:.100}" if given.state not in UNSCORED else ""
    if not isinstance(given, Verdict):
        return f"it returned {given!r:.100}, not a Verdict or Unscored"
    if given.label not in labels:
        found = nearest(str(given.label), labels)
        return f"it returned the label {given.label!r:.100}, not one of its labels: {found}"
    if not isinstance(cast("object", given.axes), Mapping):
        return f"it returned the axes {given.axes!r:.100}"
    for name, value in given.axes.items():
        if not (isinstance(value, str | int) or (isinstance(cast("object", value), float) and math.isfinite(value))):
            return f"it returned the axis {name!r:.100} the value {value!r:.100}"
    return ""


def describe_wrong_requests(given: object) -> str:
    """What is wrong with a list of requests to a judge's model; empty if nothing is."""
    if not isinstance(given, list):
        return describe_type(given, list)
    odd = [each for each in cast("list[object]", given) if not isinstance(each, Request)]
    return f"it returned a list with {describe_value(odd[0])} in it, not a Request" if odd else ""


def describe_type(given: object, *wanted: type[Any]) -> str:
    """A message about a value that has none of the expected types."""
    return f"it returned {describe_value(given)}, not {' or '.join(each.__name__ for each in wanted)}"


def _find_wrong(given: object, fields: _Fields) -> Iterator[tuple[str, object]]:
    """Fields whose value has none of their types, each with the value; True is not a number."""
    for name, kinds in fields.items():
        value: object = getattr(given, name)
        wanted = kinds if isinstance(kinds, tuple) else (kinds,)
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in wanted):
            yield name, value


def _describe_wrong_turns(sample: Sample) -> str:
    """What is wrong with a sample's turns; empty if nothing is."""
    turns = cast("object", sample.turns)
    if isinstance(turns, tuple) and not turns:
        return ""
    if not isinstance(turns, tuple):
        return f"whose turns are {turns!r:.100}, not a tuple of Message"
    return _describe_wrong_messages(sample.turns) or find_dialogue_fault(sample)


def _describe_wrong_messages(messages: object) -> str:
    """What is wrong with messages and their parts; empty if nothing is."""
    if not isinstance(messages, _SEVERAL) or not messages:
        return f"whose messages are {messages!r:.100}"
    for message in cast("tuple[object, ...]", messages):
        if not isinstance(message, Message):
            return f"with {describe_value(message)} among its messages, not a Message"
        if message.role not in get_args(Role):
            return f"with a message whose role is {message.role!r:.100}: {nearest(str(message.role), get_args(Role))}"
        content = cast("object", message.content)
        if not isinstance(content, _SEVERAL):
            return f"with a message whose content is {content!r:.100}, not a tuple of Text and Image"
        for part in cast("tuple[object, ...]", content):
            if not isinstance(part, Text | Image):
                return f"with {describe_value(part)} in a message, which is neither Text nor Image"
            if isinstance(part, Text) and not isinstance(cast("object", part.text), str):
                return f"with a Text whose text is {part.text!r:.100}"
            if isinstance(part, Image) and not isinstance(cast("object", part.path), str):
                return f"with an Image whose path is {part.path!r:.100}, not a text"
    return ""


def find_paper_faults(paper: object) -> Iterator[str]:
    """Faults that keep a paper out of a bibliography: types, and a key, id or address that would break it."""
    if not isinstance(paper, Paper):
        yield f"it is {describe_value(paper)}, not a Paper"
        return
    if wrong := [f"{name} is {value!r:.100}" for name, value in _find_wrong(paper, _PAPER)]:
        yield from wrong
        return
    if not all(isinstance(each, str) and each.strip(" ,") for each in cast("tuple[object, ...]", paper.authors)):
        yield f"authors is {paper.authors!r:.100}, not a tuple of names"
    if not paper.title.strip():
        yield "it has no title"
    if not re.fullmatch(_KEY, paper.key, re.ASCII):
        yield f"key is {paper.key!r:.100}, not a letter followed by letters, digits and _.:-"
    if paper.arxiv and not re.fullmatch(_ARXIV, paper.arxiv, re.ASCII):
        yield f"arxiv is {paper.arxiv!r:.100}, not an id such as 2501.18533"
    if paper.url and not re.fullmatch(r"https?://[!-~]+", paper.url):
        yield f"url is {paper.url!r:.100}, not an address that begins with https://"
    if paper.year is not None and not 1000 <= paper.year <= 9999:
        yield f"year is {paper.year}, which has no four digits"
    if paper.venue and paper.journal:
        yield "venue and journal are both given"


def find_split_faults(split: object) -> Iterator[str]:
    """Faults that make a split impossible to run, score or record: types, spellings, and conflicting metrics.

    `harness.labels` checks its labels.
    """
    if not isinstance(split, Split):
        yield f"it is {describe_value(split)}, not a Split"
        return
    yield from (f"{name} is {value!r:.100}" for name, value in _find_wrong(split, _SPLIT))
    yield from _find_wrong_texts(split, "by", "parts", "labels")
    yield from _find_misspelt(split, "group", Group)
    if split.paper is not None:
        yield from (f"its paper cannot be cited: {why}" for why in find_paper_faults(split.paper))
    yield from _find_misspelt(split, "fidelity", Fidelity)
    for name in ("blocked_as", "empty_as"):
        verdict = getattr(split, name)
        if isinstance(verdict, Verdict):
            yield from (f"{name} has the {field} {value!r:.100}" for field, value in _find_wrong(verdict, _VERDICT))
    if isinstance(split.images, int) and split.images < 0:
        yield "images is negative"
    judges = cast("object", split.judges)
    if isinstance(judges, Mapping) and not judges:
        yield "it accepts no rubric"
    for rubric, translation in cast("Mapping[object, object]", judges).items() if isinstance(judges, Mapping) else ():
        if not isinstance(rubric, str):
            yield f"judges names the rubric {rubric!r:.100}, which is not a text"
        elif not isinstance(translation, Mapping):
            value = describe_value(translation)
            yield f"judges has {value} for {rubric!r}, not a mapping of its labels; {{}} keeps them"
        else:
            words = cast("Mapping[object, object]", translation)
            if not all(isinstance(word, str) for pair in words.items() for word in pair):
                yield f"judges translates labels of {rubric!r} that are not texts: {dict(words)!r:.100}"
    yield from _find_metric_faults(split.metrics)


def _find_metric_faults(metrics: object) -> Iterator[str]:
    if isinstance(metrics, Metric):
        yield f"metrics is the Metric {metrics.name!r} alone, not a tuple: add a comma after it"
        return
    if not isinstance(metrics, _SEVERAL):
        yield f"metrics is {metrics!r:.100}, not a tuple of Metric"
        return
    if not metrics:
        yield "it has no metrics"
    found: list[Metric] = []
    for each in cast("tuple[object, ...]", metrics):
        if not isinstance(each, Metric):
            yield f"metrics holds {describe_value(each)}, not a Metric"
            continue
        found.append(each)
        faults = [f"{name} is {value!r:.100}" for name, value in _find_wrong(each, _METRIC)]
        if each.name == "":
            faults.append("it has no name")
        if not faults and each.harmonic < 1:
            faults.append(f"harmonic is {each.harmonic}, not a number of strata")
        for name in ("score", "possible", "group", "cluster", "stratum"):
            function: object = getattr(each, name)
            if not callable(function) and (function is not None or name in ("score", "possible")):
                faults.append(f"{name} is {describe_value(function)}, not a function")
        for name, kind in _CHOICES.items():
            faults += _find_misspelt(each, name, kind)
        faults += _find_wrong_texts(each, *(("strata",) if each.labels is None else ("strata", "labels")))
        yield from (f"metric {each.name!r:.100}: {why}" for why in faults)
    names = [str(each.name) for each in found]
    if len(set(names)) < len(names):
        yield f"two metrics share a name: {names}"
    main = [each.name for each in found if each.main is True]
    if len(main) > 1:
        yield f"more than one metric is main: {main}"


def _find_misspelt(given: object, field: str, kind: Any) -> Iterator[str]:
    """The fault of a field whose value is not in a Literal; two of the fields may be None."""
    words = get_args(kind)
    value: object = getattr(given, field)
    if value not in words and not (value is None and field in ("group", "fidelity")):
        yield f"{field} is {value!r:.100}: {nearest(str(value), words)}"


def _find_wrong_texts(given: object, *fields: str) -> Iterator[str]:
    for name in fields:
        value: object = getattr(given, name)
        if not isinstance(value, _SEVERAL) or not all(isinstance(each, str) for each in cast("list[object]", value)):
            yield f"{name} is {value!r:.100}, not a tuple of texts"
