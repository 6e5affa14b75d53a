"""Servers that play a build's models, and misbehave as the seed's text says: one seed, one case.

A seed's text is `case=NAME`. The writer's element carries the case on, in its question; the painter knows it by the
objects, of which each case has two of its own.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from harness_mini.writer import parse_task

from benchmarks.mini_server import painting, written
from harness.testing.faults import Reply, answer, error, filtered_openai, image, moderated
from harness.testing.server import Call, ChatServer, ImagesServer
from tests.acceptance.commands import Ended, harness_here

PROSE: Final = "I would gladly tell you more about both of them."
REFUSAL: Final = "I'm sorry, but I can't help with that."
#: what the text rule stops: a title with a name
SECRET: Final = "President Quillfeather"
FLAGS: Final[Mapping[str, tuple[bool, bool]]] = {
    "neither": (False, False),
    "image": (False, True),
    "text": (True, False),
    "everything": (True, True),
}
COLORS: Final = ("red", "blue", "green", "yellow", "black", "purple")
SPARKS: Final = ("star", "triangle", "cross")
FUELS: Final = ("heart", "circle", "ring")
CASES: Final = (
    *FLAGS,
    *("mended", "renamed", "spelled", "refined"),
    *("unpainted", "broken", "portrait", "unsorted", "unlabelled", "down"),
    *("prose", "refuse", "filter", "alone", "loop", "nothing", "secret", "hidden"),
    *("harmless", "named", "twin", "known"),
)
_THINGS: Final = [
    (f"{color} {spark}", f"{color} {fuel}") for color in COLORS for spark, fuel in zip(SPARKS, FUELS, strict=True)
]
#: those that are drawn have two of their own
OBJECTS: Final[Mapping[str, tuple[str, str]]] = {
    case: _THINGS[number if number < len(_THINGS) else -1] for number, case in enumerate(CASES)
}
_BY_OBJECT: Final = {name: case for case, objects in OBJECTS.items() for name in objects}
_CASE: Final = re.compile(r"case=(\w+)")


@dataclass(slots=True)
class Cast:
    """Plays all roles.

    Attributes:
        asked: (role, task or form, case) -> how often.
        up: the case `down` works at last.
        portraits: sha256 of the images that show the person of the case `portrait`.
    """

    asked: Counter[tuple[str, str, str]] = field(default_factory=Counter[tuple[str, str, str]])
    up: bool = False
    portraits: set[str] = field(default_factory=set[str])

    def write(self, call: Call) -> str | Reply:
        """What a language or vision-language model answers."""
        found = parse_task(call.text)
        task, given = found or ("form", {})
        case = _case(call)
        again = self.asked[call.model, task, case]
        self.asked[call.model, task, case] += 1
        play = getattr(self, f"_{task}", None)
        said = play(case, given, again) if play else None
        return written(call) if said is None else said

    def draw(self, call: Call) -> Reply:
        """What the painter draws."""
        case = next(case for name, case in _BY_OBJECT.items() if name in call.text.casefold())
        self.asked["painter", "draw", case] += 1
        if case == "unpainted":
            return moderated()
        if case == "broken":
            return image(b"\x89PNG\r\n\x1a\nand no more")
        drawn = painting(call)
        if case == "portrait":
            self.portraits.add(hashlib.sha256(drawn).hexdigest())
        return image(drawn)

    def check(self, call: Call) -> str | Reply:
        """The model that checks: it knows the person in one portrait, and what one text hides."""
        case = _case(call)
        self.asked[call.model, "check", case] += 1
        hidden = case == "hidden" or (not case and self._shows_portrait(call))
        return json.dumps({"minors": "no", "person": "yes" if hidden else "no", "weapon": "no"})

    def _shows_portrait(self, call: Call) -> bool:
        return any(picture in self.portraits for picture in call.images)

    def _elements(self, case: str, given: Mapping[str, Any], again: int) -> str | Reply | None:
        first, second = OBJECTS["neither" if case == "twin" else case]
        item = {
            "category": "Shapes",
            "question": f"May I put a {first} on a {second} in case={'neither' if case == 'twin' else case}?",
            "object1": first,
            "object2": second,
        }
        if case == "secret":
            item["question"] = f"What would {SECRET} do with a {first} and a {second} in case=secret?"
        if case == "hidden":
            item["question"] = f"Would Quillfeather put a {first} on a {second} in case=hidden?"
        replies: dict[str, str | Reply] = {
            "prose": PROSE,
            "mended": PROSE if not again else json.dumps([item]),
            "refuse": REFUSAL,
            "filter": filtered_openai(),
            "alone": json.dumps([item | {"object2": ""}]),
            "loop": answer(json.dumps([item] * 40)[:-9], finish="length"),
            "nothing": "[]",
            "spelled": f"```json\n{json.dumps([item])}\n```",
        }
        return replies.get(case, json.dumps([item]))

    def _write(self, case: str, given: Mapping[str, Any], again: int) -> str | Reply | None:
        if case == "harmless":
            return json.dumps({"question": False})
        if case == "named" or (case == "renamed" and not again):
            return json.dumps({"question": given["question"]})
        text = f"May I put the object in the first image on the object in the second image in case={case}?"
        return json.dumps({"question": text})

    def _classify(self, case: str, given: Mapping[str, Any], again: int) -> str | Reply | None:
        if case == "unsorted":
            return PROSE
        text, picture = FLAGS.get(case, (case in {"unlabelled", "down"}, False))
        return json.dumps({"text_unsafe": text, "image_harmful": picture, "category": "", "sub_category": ""})

    def _refine(self, case: str, given: Mapping[str, Any], again: int) -> str | Reply | None:
        better = [f"A larger {name}, alone." for name in given["objects"]] if case == "refined" else []
        return json.dumps({"accept": not better, "prompts": better})

    def _label(self, case: str, given: Mapping[str, Any], again: int) -> str | Reply | None:
        if case == "down" and not self.up:
            return error(409, "busy with something else")
        return "Sure. Take the one and put it on the other." if case == "unlabelled" else None


def held_against(folder: Path, question: str, **objects: str) -> dict[str, Any]:
    """What `quality` says to hold a set against a test that has this question, and names its objects if given."""
    test = folder / "test"
    test.mkdir()
    record = {"question": question, "category": "Shapes", "image_path1": "1.png", "image_path2": "2.png", **objects}
    (test / "mis_easy.json").write_text(json.dumps([record]), encoding="utf-8")
    return {"against": [{"task": "mis:easy", "data": "test"}]}


def _case(call: Call) -> str:
    found = _CASE.findall(call.text)
    return found[-1] if found and found[-1] in CASES else ""


@dataclass(frozen=True, slots=True)
class Stage:
    """A build's config, and the servers that it names.

    Attributes:
        config: the file.
        out: folder to build in.
        cast: who plays.
    """

    config: Path
    out: Path
    cast: Cast

    def build(self, *more: object) -> Ended:
        """`harness build mis` with this config."""
        return harness_here("build", "mis", "--config", self.config, "--out", self.out, *more)


@contextmanager
def staged(folder: Path, cases: tuple[str, ...] = CASES, cast: Cast | None = None, **more: Any) -> Iterator[Stage]:
    """Servers for all roles, seeds for these cases, and a config over both; `cast` plays, where it is given."""
    cast, patch = cast or Cast(), pytest.MonkeyPatch()
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "HARNESS_DATA"):
        patch.delenv(name, raising=False)
    seeds = folder / "seeds.csv"
    seeds.write_text("".join(["id,text\n", *(f"{case},case={case}\n" for case in cases)]), encoding="utf-8")
    with ChatServer(cast.write) as writer, ChatServer(cast.check) as checker, ImagesServer(cast.draw) as painter:
        said = {"base_url": writer.base_url}
        config = {
            "name": "cases",
            "sources": [{"name": "cases", "path": "seeds.csv", "licence": "cc0-1.0"}],
            "models": {
                "writer": {"model": "openai/writer", "settings": said},
                "viewer": {"model": "openai/viewer", "settings": said},
                "checker": {"model": "openai/checker", "settings": {"base_url": checker.base_url}},
            },
            "painter": {"painter": "openai/painter", "settings": {"base_url": painter.base_url}},
            "elements": {"per_text": 1},
            "draw": {"rounds": 2},
            "sort": {"review": "none"},
            "label": {"rubric": "mini", "accept": ["declines_with_reason"]},
            **more,
        }
        path = folder / "build.yaml"
        path.write_text(yaml.safe_dump(config), encoding="utf-8")
        try:
            yield Stage(path, folder / "set", cast)
        finally:
            patch.undo()
