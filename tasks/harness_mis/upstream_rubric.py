"""The rubric `mis` in upstream's words, read from the user's copy of upstream's script.

Kept as there: a system line, the images, then the text; the two fields in their order; the script's temperature, top_p
and token limit. The answer is in the text as it is, without markers: that is what upstream's judge reads. To a
model on this machine control tokens in question and answer would be its own, so for it they are broken up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

from harness import BadData, Generation, Json, Message, Request, Response, Rubric, Sample, Text, rubric
from harness.data.upstream import Upstream

from .reading import JUDGE_SCRIPT, PIN
from .rubric import LABELS, MEANINGS, classify

FORM = rubric.ReplySchema(
    fields={
        "label_perception": ("Perception Level1", "Perception Level2", "Perception Level3"),
        "label_str": ("Safe", "Unsafe"),
    },
    labels=LABELS,
    verdict=lambda found: classify(found["label_perception"], found["label_str"]),
)


def open_upstream(root: Path) -> Rubric:
    """The rubric from the script under a data root. Raises MissingData or BadData."""
    script = Upstream(root, PIN)
    template = script.text(JUDGE_SCRIPT, "evaluate_function.PROMPT_TEMPLATE")
    constants = script.literals(JUDGE_SCRIPT)
    system, generation = _find_system(constants), _read_generation(constants)
    _check_form(constants)
    rubric.fill(template, question="", response="")

    def asking(shown: Callable[[str], str]) -> Callable[[Sample, Response], list[Request]]:
        def ask(sample: Sample, response: Response) -> list[Request]:
            text = rubric.fill(template, question=shown(rubric.question(sample)), response=shown(response.text))
            user = Message(role="user", content=(*sample.request.images, Text(text=text)))
            return [Request(messages=(*_build_turn(system), user), settings=generation, schema=FORM.schema)]

        return ask

    return Rubric(
        identity=rubric.identity(
            {"": template}, frame={"system": system, "schema": FORM.schema, "generation": asdict(generation)}
        ),
        labels=LABELS,
        ask=asking(str),
        ask_local=asking(rubric.harmless),
        read=lambda _sample, _response, replies: FORM.read(replies[-1].text),
        fidelity=script.fidelity(JUDGE_SCRIPT),
        sees=("images", "question", "answer"),
        meanings=MEANINGS,
        verdict_like=FORM.is_spelled_in,
    )


def _build_turn(system: str) -> tuple[Message, ...]:
    return (Message(role="system", content=(Text(text=system),)),) if system else ()


def _find_system(constants: Mapping[str, Json]) -> str:
    """The script's system line; empty when it sends none."""
    turns: Json = constants.get("evaluate_function.message")
    try:
        return str(next(turn["content"] for turn in turns if turn["role"] == "system"))
    except (TypeError, KeyError, StopIteration):
        return ""


def _read_generation(constants: Mapping[str, Json]) -> Generation:
    given: Json = constants.get("default_generation_config")
    try:
        return Generation(temperature=given["temperature"], max_tokens=given["max_tokens"], top_p=given["top_p"])
    except (TypeError, KeyError):
        raise BadData("upstream's script has no generation settings", where=JUDGE_SCRIPT) from None


def _check_form(constants: Mapping[str, Json]) -> None:
    """The classes hang on these very fields and values: a script with others is another rubric."""
    for name, choices in FORM.fields.items():
        if constants.get(f"OUTPUT.{name}") != list(choices if isinstance(choices, tuple) else ()):
            raise BadData(
                "upstream's script asks for other fields than this harness knows", where=f"{JUDGE_SCRIPT}, {name}"
            )
