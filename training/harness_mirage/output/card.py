"""The model card: what was trained on what, how, under which terms, and later how it did."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from harness.markdown import escape
from harness_mirage.saying import value as said

NAME: Final = "README.md"
BEGIN, END = "<!-- results -->", "<!-- /results -->"
_LEARNS: Final = {
    "full": "all parameters of {parts}",
    "lora": "adapters (LoRA) on {parts}",
    "qlora": "adapters (LoRA) on {parts}, on a base of 4 bits",
}


def card(values: Mapping[str, Any]) -> str:
    """The card of a training, from its record; evaluations are added between the markers."""
    name = values["method"]["name"]
    base = escape(str(values["tuned_from"]))
    lines = [
        *_head(values),
        f"# {base}, tuned by {escape(name)}",
        "",
        f"{_sentence(values['method']['description'])} {_learnt(values)}",
        "",
        *_loading(values),
        "",
        "## Data",
        "",
        *_data(values["mixture"]),
        "",
        "## Recipe",
        "",
        *_recipe(values),
        "",
        "## Results",
        "",
        BEGIN,
        "Not evaluated yet.",
        END,
        "",
        "## Intended use and limits",
        "",
        *_limits(values),
        "",
        "## Licence",
        "",
        *_licence(values),
        "",
    ]
    return "\n".join(lines)


def _head(values: Mapping[str, Any]) -> Iterator[str]:
    """What the hub reads."""
    scheme, _, name = str(values["tuned_from"]).partition("/")
    yield "---"
    if scheme == "hf" and name.count("/") == 1:
        yield f"base_model: {name}"
    if values["kind"] == "adapter":
        yield "library_name: peft"
    yield "pipeline_tag: image-text-to-text"
    yield "---"
    yield ""


def _learnt(values: Mapping[str, Any]) -> str:
    parts = " and ".join(f"the {role}{' model' if role == 'language' else ''}" for role in values["method"]["trained"])
    how = _LEARNS[values["recipe"]["values"]["tuning"]["value"]].format(parts=parts)
    learnt = sum(each["learnt"] for each in values["parameters"].values())
    return f"Trained are {how}: {learnt:,} numbers."


def _loading(values: Mapping[str, Any]) -> Iterator[str]:
    base = str(values["tuned_from"])
    if values["kind"] == "adapter":
        yield f"    harness run --model {base} -M adapter=THIS_FOLDER --tasks …"
    else:
        yield "    harness run --model hf/THIS_FOLDER --tasks …"
        yield "    harness run --model vllm/THIS_FOLDER --tasks …"


def _data(mixture: Mapping[str, Any]) -> Iterator[str]:
    yield "| data | found | learnt from | left out | terms |"
    yield "| --- | ---: | ---: | --- | --- |"
    for part in mixture["parts"]:
        name = " ".join(filter(None, (part["source"], part["part"])))
        asides = "" if part["labels"] == "given" else f" ({part['labels'].replace('_', ' ')})"
        left = "; ".join(f"{count}: {why}" for why, count in part["left_out"].items() if count)
        cells = (name + asides, f"{part['found']:,}", _taken(part), left, part["licence"] or "not known")
        yield "| " + " | ".join(escape(cell) for cell in cells) + " |"
    yield ""
    yield f"{mixture['records']:,} records, drawn with seed {mixture['seed']}; sha256 `{mixture['digest']}`."
    if mixture["held_out"]:
        yield f"Held out, and never seen: {escape(', '.join(mixture['held_out']))}."


def _taken(part: Mapping[str, Any]) -> str:
    """How much was learnt from; of a part that holds less than was wanted, both."""
    lacks = part["wanted"] is not None and part["wanted"] > part["taken"]
    return f"{part['taken']:,}" + (f" ({part['wanted']:,} wanted)" if lacks else "")


def _recipe(values: Mapping[str, Any]) -> Iterator[str]:
    yield f"`{values['recipe']['name']}`; {values['training']['steps']:,} steps, seed {values['training']['seed']}."
    yield ""
    yield "| value | | source |"
    yield "| --- | --- | --- |"
    for name, each in values["recipe"]["values"].items():
        yield f"| {name} | {escape(said(each['value']))} | {each['source']} |"
    yield ""
    if values["recipe"].get("paper"):
        method = values["recipe"].get("method")
        on = f"{escape(method)} on " if method else ""
        yield f"The paper's values are those for {on}{escape(values['recipe']['paper'])}."
    yield "This reproduces the recipe, not the numbers: what is not the paper's is a choice, and is marked above."


def _limits(values: Mapping[str, Any]) -> Iterator[str]:
    yield "For research on the safety of vision-language models, and as a start for models that are safer in use."
    yield "A model that was tuned to be safe is not safe against everything: it was measured on what stands under"
    yield "Results, and on nothing else. It may refuse what is harmless, and it keeps the faults of its base."
    if any(part["layout"] == "mis" and part["labels"] != "refusal" for part in values["mixture"]["parts"]):
        yield "Its answers name the risk that it sees, so they can speak of harmful matters."


def _licence(values: Mapping[str, Any]) -> Iterator[str]:
    yield f"The weights come from {escape(str(values['tuned_from']))}, whose licence goes on to hold for them."
    yield "The terms of the data stand in the table above: read them before you share what was learnt from them."


def _sentence(text: str) -> str:
    return escape(text[:1].upper() + text[1:] + ".")
