"""The rubric `mssbench` in upstream's words, read from the user's copy of upstream's script.

Kept as there: one user message and no system line; no temperature and no token limit are sent; the class is the first
character after the last `<answer>`. Where upstream counts an unreadable reply as wrong in every situation, it is
`judge_unparsable` here. To a model on this machine control tokens in the answer would be its own, so for it they are
broken up.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from harness import (
    Generation,
    Message,
    Request,
    Response,
    Rubric,
    Sample,
    Text,
    Unscored,
    Verdict,
    rubric,
)
from harness.data.upstream import Upstream

from .reading import JUDGE_SCRIPT, PIN
from .rubric import LABELS, MEANINGS, SCENARIOS, cut_plan, find_scenario

GENERATION = Generation(temperature=None, max_tokens=None)
TAG = "<answer>"
INDICES = ("0", "1", "2", "3")


def open_upstream(root: Path) -> Rubric:
    """The rubric from the script under a data root. Raises MissingData or BadData."""
    script = Upstream(root, PIN)
    templates = {name: _load_template(script, name) for name in SCENARIOS}

    def asking(shown: Callable[[str], str]) -> Callable[[Sample, Response], list[Request]]:
        def ask(sample: Sample, response: Response) -> list[Request]:
            before, after = templates[find_scenario(sample)]
            text = Text(text=before + shown(cut_plan(response)) + after)
            return [Request(messages=(Message(role="user", content=(text,)),), settings=GENERATION)]

        return ask

    return Rubric(
        identity=rubric.identity(
            {name: "{response}".join(parts) for name, parts in templates.items()},
            frame={"system": "", "schema": None, "generation": {"temperature": None, "max_tokens": None}},
        ),
        labels=LABELS,
        ask=asking(str),
        ask_local=asking(rubric.harmless),
        read=lambda _sample, _response, replies: read_reply(replies[-1].text),
        fidelity=script.fidelity(JUDGE_SCRIPT),
        sees=("answer",),
        meanings=MEANINGS,
    )


def read_reply(reply: str) -> Verdict | Unscored:
    """The class after the last `<answer>`; white space before it is passed over, as upstream does."""
    before, tag, after = reply.rpartition(TAG)
    index = after.strip()[:1]
    if not tag or index not in INDICES:
        return rubric.unparsable(f"there is no class from 0 to 3 after the last {TAG}; expected {TAG}index</answer>")
    return Verdict(label=LABELS[int(index)], reason=before.strip())


def _load_template(script: Upstream, name: str) -> tuple[str, str]:
    """The text before and after the answer."""
    classes = {
        index: script.text(JUDGE_SCRIPT, f"annotation_aspects_{name}", "do_not_answer", index) for index in INDICES
    }
    listed = "\n" + "".join(f"{index}: {text}\n" for index, text in classes.items())
    prompt = f"prompt_{name}"
    closing = rubric.fill(script.text(JUDGE_SCRIPT, prompt, "prompt2"), rubric=listed)
    opening = script.text(JUDGE_SCRIPT, prompt, "prompt1")
    whole = script.text(JUDGE_SCRIPT, prompt, "prompt_template")
    mark = "\0"  # no file of Python holds one, so it marks the answer's place and nothing else
    before, _, after = rubric.fill(whole, prompt1=opening, response=mark, prompt2=closing).partition(mark)
    return before, after
