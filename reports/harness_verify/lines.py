"""The lines of a redacted export: who, what came of it, labels and numbers; texts by length and hash.

Metrics may look at categories, clusters, tags, targets and axes. Clusters and tags are told apart by their hashes as by
their texts; where a text itself decides (a stratum, a right answer), it is one that results.json names anyway, or a
choice. What an answer's verdicts are found by stands in `text_sha256`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from harness.keys import is_taken_out
from harness.store.records import TAKEN_OUT, stored_hash
from harness.types import Json

from .names import counts, is_choice, is_word, name, taken_out, value, word

Raw = Mapping[str, Any]
_WHO = ("id", "split", "epoch", "key")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """The lines of one task, redacted.

    Attributes:
        public: words that results.json names: labels, groups of breakdowns, strata.
    """

    public: frozenset[str]

    @staticmethod
    def of(task: Raw) -> Lines:
        """For the task with this part of results.json; empty where it has none."""
        return Lines(public=frozenset(_named(task)))

    def asked(self, line: Raw) -> dict[str, Json]:
        """A line of asked.jsonl."""
        return {**_who(line), **self._grouped(line)}

    def response(self, line: Raw) -> dict[str, Json]:
        """A line of responses.jsonl."""
        text: str = line["text"]
        return {
            **_who(line),
            "outcome": value(line["outcome"]),
            "text": taken_out(text),
            **({TAKEN_OUT: stored_hash(line), "text_length": len(text)} if text or TAKEN_OUT in line else {}),
            **self._answer(line),
            "flags": [flag for flag in line["flags"] if is_word(flag)],
            "usage": counts(line["usage"]),
            **_calls(line),
            "at": value(line.get("at")),
            "model": name(str(line["model"] or "")),
            **self._grouped(line),
            "prompt": [_part(part) for part in line["prompt"]],
        }

    def verdict(self, line: Raw) -> dict[str, Json]:
        """A line of one judge's verdicts; its label is the rubric's own."""
        axes: Raw = line["axes"]
        return {
            **_who(line),
            "answer": value(line["answer"]),
            "state": value(line["state"]),
            "label": line["label"],
            "axes": {word(axis): self._leaf(each) for axis, each in axes.items()},
            "reason": taken_out(line["reason"]),
            "flags": [flag for flag in line.get("flags", ()) if is_word(flag)],
            "raw": [taken_out(reply) for reply in line["raw"]],
            "usage": counts(line["usage"]),
            **_calls(line),
            "models": [name(each) for each in line["models"]],
            **{key: value(line[key]) for key in ("at", "together") if key in line},
        }

    def _answer(self, line: Raw) -> dict[str, Json]:
        """What only an answer has, or only a failure."""
        if "reason" in line:
            return {"reason": word(line["reason"]), "message": taken_out(line["message"])}
        steps: Raw = line.get("steps") or {}
        return {
            "reasoning": taken_out(line["reasoning"]),
            "seconds": value(line["seconds"]),
            "choices": {self._leaf(choice): each for choice, each in line["choices"].items()},
            "notes": [taken_out(note) for note in line["notes"]],
            "steps": {word(step): taken_out(str(text)) for step, text in steps.items()},
        }

    def _grouped(self, line: Raw) -> dict[str, Json]:
        """What a record is grouped by and compared with; a cluster that is the sample itself stays that."""
        category: str = line["category"]
        cluster: str = line["cluster"]
        tags: Raw = line["tags"]
        return {
            "category": self._leaf(category) if not is_word(category) else category,
            "cluster": cluster if cluster == line["id"] or is_taken_out(cluster) else taken_out(cluster),
            "tags": {word(tag): self._leaf(each) for tag, each in tags.items()},
            "target": self._leaf(line["target"]),
        }

    def _leaf(self, given: Json) -> Json:
        """A value of a data set: numbers, choices and words of the results stay."""
        if isinstance(given, str):
            return given if given in self.public or is_choice(given) else taken_out(given)
        if isinstance(given, Mapping):
            return {word(key): self._leaf(each) for key, each in cast("Raw", given).items()}
        if isinstance(given, list):
            return [self._leaf(each) for each in cast("Sequence[Json]", given)]
        return given


def _who(line: Raw) -> dict[str, Json]:
    return {key: line[key] for key in _WHO}


def _calls(line: Raw) -> dict[str, Json]:
    """How often a model was asked, where the line says it."""
    return counts({"calls": line["calls"]}) if "calls" in line else {}


def _part(part: Raw) -> dict[str, Json]:
    """A part of what was asked: the image by its own hash, its path by that of the path."""
    if "image" in part:
        return {"role": value(part["role"]), "image": taken_out(str(part["image"])), "sha256": value(part["sha256"])}
    return {"role": value(part["role"]), "text": taken_out(part["text"])}


def _named(task: Raw) -> Iterator[str]:
    for split in task.get("splits", {}).values():
        for view in (split, *split["other_judges"].values()):
            yield from view["labels"]
            for groups in view["by"].values():
                yield from groups
            for metric in view["metrics"].values():
                yield from metric.get("strata") or {}
