"""A task's own splits, run for real; the data lies in PLACE/data/<task>, the run goes to PLACE/run.

`play` follows a script: what the model says is looked up by the question, what the judge says by the answer it sees.
In `attack` each sample ends as its image or text says, in one of all ways there are:

    split = attack(TASK, "full", place, judge="llamaguard")
    assert counted(split) == published(name for name in …)
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any
from zlib import crc32

import harness
from harness import Failure, Judge, Request, Response, Rubric, Sample, Task, Text, Unscored, Verdict, plugins
from harness.testing.fakes import Said, fake_provider, host_of

BLOCK = Failure(outcome="input_blocked", reason="content_filter")
CUT = Failure(outcome="output_blocked", reason="content_filter", text="Sure, first")
BROKEN = Failure(outcome="error", reason="http_500")
HOW: Mapping[str, Said] = {"block": BLOCK, "cut": CUT, "empty": "", "broken": BROKEN}

#: how a sample of `attack` can end: judged either way, blocked twice over, empty, never judged, never answered
ENDS = ("unsafe", "safe", "block", "cut", "empty", "unparsable", "broken")


def texts(request: Request) -> str:
    """All that a request says."""
    return "\n".join(part.text for message in request.messages for part in message.content if isinstance(part, Text))


def play(
    task: Task,
    split: str,
    place: Path,
    *,
    answers: Mapping[str, Said],
    replies: Mapping[str, str | Callable[[str], str]] | None = None,
    judges: tuple[Judge, ...] = (),
    **options: Any,
) -> Mapping[str, Any]:
    """What results.json says of one split.

    Args:
        task: whose split it is.
        split: its name.
        place: of the data and of the run folder.
        answers: question -> what the model says; the longest question that a request holds counts.
        replies: answer -> what the judge says of it, or makes of all that it is shown; not needed for a rule.
        judges: the rubrics at hand, the first of which is asked.
        options: of `harness.run`.
    """
    model = fake_provider(lambda request: _look_up(answers, texts(request)))
    judge = fake_provider(lambda request: _look_up(replies or {}, texts(request)), scheme="judging")
    rubric = judges[0].name if judges[0].needs is None else f"{judges[0].name}=judging/any"
    return run_split(task, split, place, model, judge, *judges, judge=rubric, **options)


def run_split(task: Task, split: str, place: Path, *plugged: Any, **options: Any) -> Mapping[str, Any]:
    """What results.json says of one split under some plugins, the model being `fake/any`."""
    options = {"data": place / "data", "probe": False, "min_coverage": 0.0, **options}
    with plugins.use(host_of(task, *plugged)):
        run = harness.run("fake/any", f"{task.name}:{split}", output=place / "run", policy=harness.Policy(tries=1),
                          **options)  # fmt: skip
    (found,) = (each for name, each in run.results["tasks"].items() if name.partition("+")[0] == task.name)
    return found["splits"][split]


def _look_up(said: Mapping[str, Any], text: str) -> Any:
    found = said[max((key for key in said if key in text), key=len)]
    return found(text) if callable(found) else found


def reply(**fields: Any) -> str:
    """A judge's filled-in form."""
    return json.dumps({"reason": "because", **fields})


def values(split: Mapping[str, Any]) -> dict[str, tuple[float, float, int]]:
    """Numerator, denominator and unresolved records of each metric."""
    return {
        name: (metric["numerator"], metric["denominator"], metric["unresolved"])
        for name, metric in split["metrics"].items()
    }


def counted(split: Mapping[str, Any], metric: str = "ASR") -> tuple[float, float, int]:
    """The same of one metric."""
    return values(split)[metric]


def end_of(name: str) -> str:
    """How a sample of `attack` ends, by what tells it from the others."""
    return ENDS[crc32(name.encode()) % len(ENDS)]


def published(names: Iterable[str], by: str = "unsafe") -> tuple[float, float, int]:
    """Successes among all answers that have a class, a block and an empty answer being none; and the others' number."""
    ends = [end_of(name) for name in names]
    known = [end for end in ends if end not in {"unparsable", "broken"}]
    return sum(end == by for end in known), len(known), len(ends) - len(known)


def attack(
    task: Task,
    split: str,
    place: Path,
    *,
    judge: str,
    labels: Mapping[str, str] = {"unsafe": "unsafe", "safe": "safe"},
) -> Mapping[str, Any]:
    """What results.json says of a split whose samples end as `end_of` says of their image's name, else of their text.

    Args:
        task: whose split it is.
        split: its name.
        place: of the data and of the run folder.
        judge: name of a rubric that the split accepts; a rule stands in for it.
        labels: what that rubric calls an unsafe and a safe answer.
    """

    def answer(request: Request) -> Said:
        image = next(iter(request.images), None)
        end = end_of(Path(image.path).name if image and ".parquet#" not in image.path else texts(request))
        return HOW.get(end, f"The end is {end}.")

    def judge_end(_sample: Sample, response: Response, _replies: object) -> Verdict | Unscored:
        word = response.text.removeprefix("The end is ").removesuffix(".")
        return Verdict(label=labels[word]) if word in labels else Unscored(state="judge_unparsable")

    rubric = Rubric(identity={}, labels=tuple(labels.values()), ask=lambda _sample, _response: [], read=judge_end)
    stand_in = Judge(name=judge, version="1", description="stands in", open=lambda _settings, _root: rubric)
    return run_split(task, split, place, fake_provider(answer), stand_in, judge=judge)
