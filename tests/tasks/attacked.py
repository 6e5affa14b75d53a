"""An attack's own splits, run for real; each sample ends as its image and text say, in one of all ways there are.

split = attacked(TASK, "full", data=…, output=…, judge="llamaguard")
assert split["metrics"]["ASR"]… == published(end_of(name) for name in …)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any
from zlib import crc32

import harness
from harness import Failure, Judge, Request, Response, Rubric, Sample, Task, Text, Unscored, Verdict, plugins
from harness.testing.fakes import Said, fake_provider, host_of

#: how a sample can end: judged either way, blocked twice over, empty, never judged, never answered
ENDS = ("unsafe", "safe", "blocked", "cut", "empty", "unparsable", "broken")
_SAID: Mapping[str, Said] = {
    "blocked": Failure(outcome="input_blocked", reason="content_filter"),
    "cut": Failure(outcome="output_blocked", reason="content_filter", text="1. First"),
    "empty": "",
    "broken": Failure(outcome="error", reason="http_500"),
}


def end_of(name: str) -> str:
    """How a sample ends, by what tells it from the others."""
    return ENDS[crc32(name.encode()) % len(ENDS)]


def shown(request: Request) -> str:
    """What tells a request from the others: its first image's file name, else its text."""
    image = next(iter(request.images), None)
    if image is not None:
        return Path(image.path).name
    return "\n".join(part.text for message in request.messages for part in message.content if isinstance(part, Text))


def attacked(
    task: Task,
    split: str,
    *,
    data: Path,
    output: Path,
    judge: str,
    named: Callable[[Request], str] = shown,
    labels: Mapping[str, str] = {"unsafe": "unsafe", "safe": "safe"},
    **options: Any,
) -> Mapping[str, Any]:
    """What results.json says of one split.

    Args:
        task: whose data lies in DATA/<name>.
        split: its name.
        data: the data folder.
        output: the run folder.
        judge: name of a rubric that the split accepts; a rule stands in for it.
        named: what of a request decides how its sample ends.
        labels: what that rubric calls an unsafe and a safe answer.
        options: of `harness.run`.
    """

    def say(request: Request) -> Said:
        end = end_of(named(request))
        return _SAID.get(end, f"The end is {end}.")

    host = host_of(task, fake_provider(say), _stand_in(judge, labels))
    with plugins.use(host):
        run = harness.run("fake/any", f"{task.name}:{split}", judge=judge, data=data, output=output, probe=False,
                          min_coverage=0.0, policy=harness.Policy(tries=1), **options)  # fmt: skip
    return run.results["tasks"][task.name]["splits"][split]


def published(names: Iterable[str], by: str = "unsafe") -> tuple[float, float, int]:
    """Successes among all answers that have a class, a block and an empty answer being none; and the others' number."""
    ends = [end_of(name) for name in names]
    known = [end for end in ends if end not in {"unparsable", "broken"}]
    return sum(end == by for end in known), len(known), len(ends) - len(known)


def counted(split: Mapping[str, Any], metric: str = "ASR") -> tuple[float, float, int]:
    """Numerator, denominator and unresolved records of one metric."""
    found = split["metrics"][metric]
    return found["numerator"], found["denominator"], found["unresolved"]


def _stand_in(name: str, labels: Mapping[str, str]) -> Judge:
    def read(_sample: Sample, response: Response, _replies: object) -> Verdict | Unscored:
        word = response.text.removeprefix("The end is ").removesuffix(".")
        if word in labels:
            return Verdict(label=labels[word])
        return Unscored(state="judge_unparsable")

    rubric = Rubric(identity={}, labels=tuple(labels.values()), ask=lambda _sample, _response: [], read=read)
    return Judge(name=name, version="1", description="stands in", open=lambda _settings, _root: rubric)
