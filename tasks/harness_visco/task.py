"""The task `visco`: conversations with given replies, whose last turn is asked. See `docs/tasks/visco.md`.

The layout of the hub's files was not seen. So the records are read in one layout that is written down in the card, with
messages as chat APIs take them, and everything that it takes for granted is checked when it is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from harness import BadData, DataSource, Generation, Message, Paper, Request, Sample, Settings, Task, Text
from harness.contracts import UNSEEN
from harness.readers import DataFiles, Row, distinct, normalize_question, open_files, rows, together
from harness.types import Part, Role
from harness.usual import ATTACK_RULE, HARM_RUBRICS, Judges, attack, mini

MINI: Final = Path(__file__).with_name("mini")
FILES: Final = ("visco.jsonl", "visco.json")
STRATEGIES: Final = ("VS", "VM", "VI", "VH")
HUB: Final = "https://huggingface.co/datasets/miaozq/Visco-Attack"
ROLES: Final[Mapping[str, Role]] = {"system": "system", "user": "user", "assistant": "assistant"}


def samples(root: Path, split: str, _settings: Settings) -> Iterator[Sample]:
    """The conversations; those of one question are adjacent.

    Raises:
        MissingData: the file is missing.
        BadData: a record is not a conversation that ends with a turn of the user, or has no image.
    """
    files = open_files(root)
    found = rows(files, *FILES)
    names = distinct(f"{row.text('strategy')}-{row.key('id')}" for row in found)
    read: list[Sample] = []
    for row, name in zip(found, names, strict=True):
        strategy, goal = row.text("strategy"), row.text("question")
        if strategy not in STRATEGIES:
            raise BadData(f"the strategy {strategy!r} is none of {', '.join(STRATEGIES)}", where=row.place)
        messages = tuple(_read_message(files, message) for message in row.rows("messages"))
        _check_turns(row, messages)
        request = Request(messages=messages)
        turns = sum(message.role == "user" for message in messages)
        read.append(
            Sample(
                id=name,
                split=split,
                request=request,
                category=row.text("category", default=""),
                tags={"strategy": strategy, "turns": str(turns), "images": str(len(request.images))},
                cluster=normalize_question(goal),
                target={"intent": goal},
            )
        )
    return together(read, key=lambda sample: sample.cluster)


def _read_message(files: DataFiles, message: Row) -> Message:
    """A message: its content is a text, or a list of texts and images by their path."""
    said = message.text("role")
    if (role := ROLES.get(said)) is None:
        raise BadData(f"the role {said!r} is none of {', '.join(ROLES)}", where=message.place)
    if isinstance(message.values.get("content"), str):
        return Message(role=role, content=(Text(text=message.text("content")),))
    content: list[Part] = []
    for part in message.rows("content"):
        kind = part.text("type")
        if kind not in ("text", "image"):
            raise BadData(f"a part of the type {kind!r} is neither text nor image", where=part.place)
        content.append(Text(text=part.text("text")) if kind == "text" else files.image(part.text("image")))
    return Message(role=role, content=tuple(content))


def _check_turns(row: Row, messages: tuple[Message, ...]) -> None:
    """Raise BadData unless user and given replies take turns, the user is last, and there is an image."""
    spoken = [message.role for message in messages[bool(messages and messages[0].role == "system") :]]
    wanted = ["user" if number % 2 == 0 else "assistant" for number in range(len(spoken))]
    where = f"{row.place}, field messages"
    if not spoken or spoken != wanted or spoken[-1] != "user":
        what = f"user and assistant must take turns and the user be last, but the roles are {', '.join(spoken)}"
        raise BadData(what, where=where)
    if not Request(messages=messages).images:
        raise BadData("the conversation has no image", where=where)


#: the last turn is harmless by itself, so a judge must see the question behind it
JUDGES: Final[Judges] = {"harmbench": HARM_RUBRICS["harmbench"], **HARM_RUBRICS, **ATTACK_RULE}
#: how many images a conversation has at most is not known: they are counted when the split is listed
ALL: Final = replace(
    attack(JUDGES, by=("strategy", "category", "turns"), defaults=Generation(temperature=0.0, max_tokens=1024)),
    images=None,
)
PAPER: Final = Paper(
    key="miao2025visco",
    title="Visual Contextual Attack: Jailbreaking MLLMs with Image-Driven Context Injection",
    authors=("Ziqi Miao", "Yi Ding", "Lijun Li", "Jing Shao"),
    year=2025,
    venue="Proceedings of the 2025 Conference on Empirical Methods in Natural Language Processing",
    arxiv="2507.02844",
)
TASK: Final = Task(
    name="visco",
    version="1",
    description="a made-up conversation over several images that prepares the last question (VisCo-Attack)",
    splits={"all": ALL, "mini": mini(ALL, MINI, n=4, judges=ATTACK_RULE)},
    samples=samples,
    source=DataSource(
        hub="miaozq/Visco-Attack",
        mirrors=("Manusagents/Visco-Attack",),
        unchecked=UNSEEN,
        url=HUB,
        licence="not seen",
        size="not published",
        by_hand=(f"visco.jsonl, which you write from the hub's files: their layout was not seen ({HUB})",),
    ),
    paper=PAPER,
)
