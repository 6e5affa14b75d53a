"""The prompts that HarmBench's classifier was trained on, from the user's copy of upstream's script or of its text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

from harness import BadData, Fidelity, Generation, HarnessError, Json, Message, Request, Text, rubric
from harness.keys import text_hash

LIMITS: Final = Generation(temperature=0.0, max_tokens=1)  #: upstream reads the first token
CONSTANT: Final = "LLAMA2_CLS_PROMPT"
KEYS: Final = {"alone": "prompt", "context": "prompt_contextual"}
PLACES: Final = {"alone": ("behavior", "generation"), "context": ("behavior", "generation", "context")}
#: sha256 of upstream's texts as copies of its repository have them: eval_utils.py, and the notebook of the model's page
KNOWN: Final = {
    "788f4f6aa1491c433c4da76c9140cfc30966cea3ff3875c4d0fcb336d92f60e0",
    "4016eb2e1758f37cfbf37f0e1540f15f26857e048c28e69796c23337ae0a285a",
    "5d6bb9e3cf4d1e5f3f7620093113222ee115af75b0b2913f00e4c7225ec9f219",
}
REMEDY: Final = (
    "git clone https://github.com/centerforaisafety/HarmBench, and -T harmbench.prompt=HarmBench/eval_utils.py"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompts:
    """What the classifier is asked.

    Attributes:
        texts: `alone` and `context`, or one of them: with a place for each of `PLACES`.
    """

    texts: Mapping[str, str]

    @property
    def fidelity(self) -> Fidelity:
        """Whether all of them are upstream's, character for character."""
        return "upstream" if all(text_hash(text) in KNOWN for text in self.texts.values()) else "modified"

    def request(self, behavior: str, context: str, answer: str) -> Request:
        """The whole prompt, raw. Raises ValueError where no prompt shows what the sample has.

        It is sent as it stands: what would end the question, or the place of a value, is broken up in the values.
        """
        kind = "context" if context else "alone"
        if kind not in self.texts:
            raise ValueError(f"the prompt has {'no' if context else 'a'} place for a context, unlike the sample")
        values = {"behavior": behavior, "generation": answer, **({"context": context} if context else {})}
        heads = rubric.heads_of(rubric.fill(self.texts[kind], **dict.fromkeys(values, "")))
        plain = {name: rubric.headless(rubric.harmless(value), heads) for name, value in values.items()}
        text = rubric.fill(self.texts[kind], **plain)
        return Request(messages=(Message(role="user", content=(Text(text=text),)),), settings=LIMITS, raw=True)


def read_prompts(file: Path) -> Prompts:
    """The prompts in a FILE: upstream's script, or one text.

    Raises:
        HarnessError: it cannot be read, or holds no such prompt.
    """
    try:
        source = file.read_text(encoding="utf-8-sig")
        texts = _of_script(source) if file.suffix == ".py" else _of_text(source)
        for kind, text in texts.items():
            rubric.fill(text, **dict.fromkeys(PLACES[kind], ""))
    except OSError as error:
        raise HarnessError(f"the file cannot be read: {error.strerror}", where=str(file), remedy=REMEDY) from error
    except (ValueError, BadData) as error:  # not Python, not UTF-8, other places
        raise HarnessError(
            f"the file is no prompt of the classifier: {error}", where=str(file), remedy=REMEDY
        ) from error
    return Prompts(texts=texts)


def _of_script(source: str) -> dict[str, str]:
    from harness.data.literals import literals

    found: Json = literals(source).get(CONSTANT)
    told = cast("dict[str, Json]", found) if isinstance(found, dict) else {}
    texts = {kind: text for kind, key in KEYS.items() if isinstance(text := told.get(key), str)}
    if not texts:
        raise ValueError(f"it has no {CONSTANT} with the key {KEYS['alone']!r}")
    return texts


def _of_text(source: str) -> dict[str, str]:
    return {"context" if "{context}" in source else "alone": source}
