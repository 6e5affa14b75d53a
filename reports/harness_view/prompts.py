"""What a judge was sent about an answer. It is not stored, so it is built again from the judge's rubric.

It is shown only if it is what was sent: the installed rubric must have the version and the template of the run, and the
digest of the built prompt must be the one that the verdict's line holds. Only the random markers around data differ.
Else a sentence says why there is none. Prompts of a second round, which hold earlier replies, are not built.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from harness import plugins
from harness.contracts import Rubric
from harness.data.places import data_folder
from harness.errors import HarnessError
from harness.evaluation.judges import build_call
from harness.readers import open_files
from harness.runs.following import RunSplit
from harness.runs.items import Item
from harness.settings import effective
from harness.store.records import original_prompt, response_of
from harness.store.run_file import RunFile
from harness.types import Image, ImageContent, Json, Message, Request, Response, Sample, Text

_NOTHING: Final = Response(text="")


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundRubric:
    """A rubric as the run used it; or why there is none."""

    rubric: Rubric | None = None
    version: str = ""
    why: str = ""


class JudgePrompts:
    """Builds the prompts of a run's judges again; each rubric is opened once.

    Args:
        file: the run's run.json.
        data: the folder that holds each task's data now; None for the run's own.
    """

    def __init__(self, file: RunFile, data: Path | None = None) -> None:
        self._file = file
        self._data = data
        self._rubrics: dict[str, FoundRubric] = {}

    def build(self, item: Item, part: RunSplit, judge: str) -> dict[str, Json]:
        """The first prompts that a judge was sent about an answer, as texts and image hashes in order.

        Returns:
            `why` is empty, or says why there are none; then `prompts` is empty. `calls` says how many were sent.
        """
        line = item.answer.verdicts.get(judge)
        if line is None:
            return _refuse("this judge has not seen the answer")
        if judge not in self._rubrics:
            self._rubrics[judge] = self._open(judge)
        found = self._rubrics[judge]
        if found.rubric is None:
            return _refuse(found.why)
        asked = [str(each) for each in line.get("asked") or ()]
        if not asked:
            return _refuse("the run did not store by what digest a rebuilt prompt could be checked")
        try:
            sample, response = _build_sample(item, part), response_of(item.answer.response or {})
        except (HarnessError, KeyError, TypeError, ValueError):
            return _refuse("the answer's line does not hold what the prompt is built from")
        for ask in (found.rubric.ask, found.rubric.ask_local):
            if ask is None:
                continue
            try:
                requests = ask(sample, response)
                digests = [build_call(request, _NOTHING).asked for request in requests]
            except Exception:  # noqa: BLE001, S112 - a plugin may raise anything
                continue
            if digests and digests == asked[: len(digests)]:
                prompts: list[Json] = [_list_parts(request) for request in requests]
                return {"why": "", "version": found.version, "prompts": prompts, "calls": len(asked)}
        return _refuse("what the installed rubric asks now is not what the judge was sent, by its digest")

    def _open(self, judge: str) -> FoundRubric:
        card = self._file.judges.get(judge)
        if card is None:
            return FoundRubric(why="the run notes its judges when it ends")
        name, version = str(card["rubric"]), str(card.get("version", ""))
        if not card.get("model"):
            return FoundRubric(why="this judge asks no model")
        try:
            known = plugins.current().judge(name)
            if known.version != version:
                return FoundRubric(why=f"the run used version {version} of {name}; installed is {known.version}")
            given = cast("Mapping[str, Any]", card.get("settings") or {})
            own = {each.name: given[each.name] for each in known.settings if each.name in given}
            run_folders = (Path(task.data.folder) for task in self._file.tasks.values() if task.data.folder)
            folders = [folder for folder in (self._data, *run_folders) if folder]
            places = [*(data_folder(folder) / name for folder in folders), data_folder() / name]
            root = next((place for place in places if place.is_dir()), places[-1])
            rubric = known.open(effective(known.settings, own, owner=f"judge {name}"), root)
        except HarnessError as error:
            return FoundRubric(why=error.what)
        except Exception:  # noqa: BLE001 - a plugin may raise anything
            return FoundRubric(why=f"the rubric {name} cannot be opened here")
        if rubric.identity.get("template_hash", "") != card.get("template_hash", ""):
            return FoundRubric(why=f"the template of {name} is another one than the run used")
        return FoundRubric(rubric=rubric, version=f"{name} {version}")


def _refuse(why: str) -> dict[str, Json]:
    return {"why": why, "version": "", "prompts": [], "calls": 0}


def _build_sample(item: Item, part: RunSplit) -> Sample:
    """The sample as its judge saw it, from the answer's line."""
    asked, response = item.answer.asked, item.answer.response or {}
    files = open_files(part.root or Path())
    messages: list[Message] = []
    for each in original_prompt(response):
        content: Text | Image
        if "text" in each:
            content = Text(text=each["text"])
        else:
            sha256 = each.get("sha256")
            held = sha256 and ImageContent(data=b"", encoded=b"", sha256=sha256, mime="image/png", width=1, height=1)
            content = Image(path=each["image"], files=files, content=held or None)
        if messages and messages[-1].role == each["role"]:
            messages[-1] = Message(role=each["role"], content=(*messages[-1].content, content))
        else:
            messages.append(Message(role=each["role"], content=(content,)))
    return Sample(
        id=str(asked["id"]),
        split=str(asked["split"]),
        request=Request(messages=tuple(messages)),
        category=str(asked.get("category") or ""),
        tags=asked.get("tags") or {},
        cluster=str(asked.get("cluster") or ""),
        target=asked.get("target"),
    )


def _list_parts(request: Request) -> list[Json]:
    parts: list[Json] = []
    for message in request.messages:
        for part in message.content:
            if isinstance(part, Text):
                parts.append({"role": message.role, "text": part.text})
            else:
                sha256 = part.content.sha256 if part.content else ""
                parts.append({"role": message.role, "image": part.path, "sha256": sha256})
    if request.prefill:
        parts.append({"role": "prefill", "text": request.prefill})
    return parts
