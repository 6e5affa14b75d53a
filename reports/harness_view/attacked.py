"""The pictures that a run's attack drew. They are not stored, so they are drawn again, and shown by their hash alone.

A picture is shown only if its bytes are those that the model saw: the installed attack must have the version, settings
and facts of the run, and the original images must lie where they lay. Else a sentence says why there is none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, cast

from harness.attacks import STEP, AttackSpec, ResolvedAttack, resolve_attack
from harness.errors import BadImage, HarnessError
from harness.images import open_image
from harness.readers import open_files
from harness.runs.following import RunSplit
from harness.runs.items import Item
from harness.store.run_file import RunFile
from harness.types import Failure, Image, ImageContent, Message, Part, Request, Sample, Text

_OTHER: Final = "the attack that is installed draws another one"


class AttackedImages:
    """Draws the pictures of a run's attack again; it is resolved once, and the last sample's pictures are kept.

    Args:
        file: the run's run.json.
    """

    def __init__(self, file: RunFile) -> None:
        self._file = file
        self._attack: ResolvedAttack | str | None = None
        self._last: tuple[str, Mapping[str, ImageContent] | str] = ("", "")

    def draw(self, item: Item, part: RunSplit, sha256: str) -> ImageContent | str:
        """The picture of an item with this hash; or why there is none."""
        if self._attack is None:
            self._attack = self._resolve()
        if isinstance(self._attack, str):
            return self._attack
        if self._last[0] != item.item:
            self._last = item.item, self._draw_all(self._attack, item, part)
        drawn = self._last[1]
        return drawn if isinstance(drawn, str) else drawn.get(sha256, _OTHER)

    def _resolve(self) -> ResolvedAttack | str:
        """The run's attack as it was; or why it is not here."""
        identity = cast("Mapping[str, Any]", self._file.model.attack or {})
        recorded: Mapping[str, Any] = self._file.running.get("options") or {}
        for options in (recorded, *(each.options for each in reversed(self._file.history))):
            given: Mapping[str, Any] = options.get("attack") or {}
            if given.get("name") != identity.get("name"):
                continue
            cwd = Path(str(options.get("cwd", "")))
            settings: Mapping[str, Any] = given.get("settings") or {}
            values = {name: _find_file(value, cwd) for name, value in settings.items()}
            try:
                found = resolve_attack(AttackSpec(name=str(given["name"]), settings=values))
            except HarnessError as error:
                return error.what
            except Exception:  # noqa: BLE001 - a plugin may raise anything
                return f"the attack {given['name']} cannot be opened here"
            return found if found is not None and found.identity == identity else _OTHER
        return "the run does not say with which settings it was drawn"

    def _draw_all(self, attack: ResolvedAttack, item: Item, part: RunSplit) -> Mapping[str, ImageContent] | str:
        """The pictures of one item, by hash; or why there are none."""
        line = item.answer.response or {}
        steps: Mapping[str, str] = line.get("steps") or {}
        replies = tuple(text for name, text in steps.items() if name.startswith(STEP))
        try:
            sample = _build_sample(item, part, self._file.overrides.system)
            made = attack.apply(sample, int(item.answer.asked["epoch"]), replies)
        except BadImage as fault:
            return f"the original image cannot be read: {fault.reason}"
        except HarnessError as error:
            return error.what
        except Exception:  # noqa: BLE001 - a plugin may raise anything
            return "it cannot be drawn again"
        if isinstance(made, Failure):
            return "it cannot be drawn again"
        return {image.opened.sha256: image.opened for image in made[0].images if image.content is not None}


def _find_file(value: Any, cwd: Path) -> Any:
    """A setting's value; a relative path of a file, as the run's own folder saw it."""
    if isinstance(value, str) and value:
        with suppress(OSError):  # a text that is too long to be a path
            return value if Path(value).exists() or not (cwd / value).exists() else str(cwd / value)
    return value


def _build_sample(item: Item, part: RunSplit, system: str) -> Sample:
    """The original sample with open images, as the attack got it, from the answer's line. Raises BadImage."""
    asked, line = item.answer.asked, item.answer.response or {}
    question: Sequence[Mapping[str, Any]] = line["attack"]["question"]
    if system and question and question[0].get("text") == system:
        question = question[1:]  # the run's own, which no attack sees
    messages = tuple(_list_messages(question, part.root or Path()))
    request = Request(messages=messages)
    return replace(Sample(id=str(asked["id"]), split=str(asked["split"]), request=request), target=asked.get("target"))


def _list_messages(question: Sequence[Mapping[str, Any]], root: Path) -> Iterator[Message]:
    """The messages of a stored question; the model's replies are left out, since an attack sees none."""
    files = open_files(root)
    role, parts = "", list[Part]()
    end: Mapping[str, Any] = {"role": "", "turn": 0}
    for each in (*question, end):
        if each["role"] != role or "turn" in each:
            if parts:
                yield Message(role=cast("Any", role), content=tuple(parts))
            role, parts = ("", []) if "turn" in each else (str(each["role"]), [])
        if "turn" in each:
            continue
        is_text = "text" in each
        parts.append(Text(text=each["text"]) if is_text else open_image(Image(path=each["image"], files=files)))
