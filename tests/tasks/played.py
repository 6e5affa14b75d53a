"""A task's own splits, run for real against a model and a judge that follow a script.

What the model says is looked up by the question, what the judge says by the answer it is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import harness
from harness import Failure, Judge, Message, Request, Response, Task, Text, plugins
from harness.testing.fakes import Said, fake_provider, host_of

BLOCK = Failure(outcome="input_blocked", reason="content_filter")
CUT = Failure(outcome="output_blocked", reason="content_filter", text="Sure, first")
BROKEN = Failure(outcome="error", reason="http_500")


def texts(request: Request) -> str:
    """All that a request says."""
    return "\n".join(_said(message) for message in request.messages)


def play(
    task: Task,
    split: str,
    *,
    data: Path,
    output: Path,
    answers: Mapping[str, Said],
    replies: Mapping[str, str | Callable[[str], str]] | None = None,
    judges: tuple[Judge, ...] = (),
    **options: Any,
) -> Mapping[str, Any]:
    """What results.json says of one split.

    Args:
        task: whose data lies in DATA/<name>.
        split: its name.
        data: the data folder.
        output: the run folder.
        answers: question -> what the model says; the longest question that a request holds counts.
        replies: answer -> what the judge says of it, or makes of all that it is shown; not needed for a rule.
        judges: the rubrics at hand, the first of which is asked.
        options: of `harness.run`.
    """
    model = fake_provider(lambda request: _found(answers, texts(request)))
    judge = fake_provider(lambda request: _found(replies or {}, texts(request)), scheme="judging")
    rubric = judges[0].name if judges[0].needs is None else f"{judges[0].name}=judging/any"
    with plugins.use(host_of(task, model, judge, *judges)):
        run = harness.run("fake/any", f"{task.name}:{split}", judge=rubric, data=data, output=output, probe=False,
                          min_coverage=0.0, policy=harness.Policy(tries=1), **options)  # fmt: skip
    (found,) = (each for name, each in run.results["tasks"].items() if name.partition("+")[0] == task.name)
    return found["splits"][split]


def values(split: Mapping[str, Any]) -> dict[str, tuple[float, float, int]]:
    """Numerator, denominator and unresolved records of each metric."""
    return {
        name: (metric["numerator"], metric["denominator"], metric["unresolved"])
        for name, metric in split["metrics"].items()
    }


def _said(message: Message) -> str:
    return "\n".join(part.text for part in message.content if isinstance(part, Text))


def _found(said: Mapping[str, Any], text: str) -> Any:
    found = said[max((key for key in said if key in text), key=len)]
    return found(text) if callable(found) else found


def reply(**fields: str) -> str:
    """A judge's filled-in form."""
    import json

    return json.dumps({"reason": "because", **fields})


__all__ = ["BLOCK", "BROKEN", "CUT", "Response", "play", "reply", "texts", "values"]
