"""Decides what of a run may leave the machine.

A redacted export holds numbers, labels and names: from run.json and results.json the keys listed here, from each line
its identity and outcome. Length and hash replace every other text. Invariants:

- An unlisted key is left out, so that this version does not publish new keys of later versions.
- run.json and results.json go through the same functions: results recomputed from the redacted run are the redacted
  results. Metrics may use categories, clusters, tags, targets and axes. Hashes of clusters and tags differ as their
  texts do. If a text itself decides (a stratum, a right answer), results.json names it anyway, or it is a choice.
  `text_sha256` links a verdict to its answer.
- A name keeps its shape; a path or an address keeps only its end.

A full export holds all texts; only what looks like a key is removed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from harness.keys import is_redacted, redact_text
from harness.secrets import LIKE_KEY, VENDOR_KEY, without_secrets
from harness.store.folder import file_name, find_repeated_judge
from harness.store.records import TAKEN_OUT, line_hash
from harness.task_files import TaskFile
from harness.types import Json

Raw = Mapping[str, Any]

_WORD: Final = re.compile(r"[\w.+:=,%-]{1,80}")
_CHOICE: Final = re.compile(r"yes|no|[A-Za-z]", re.IGNORECASE)
_KEYS: Final = (
    LIKE_KEY,
    r"(?i)\b((?:api[_-]?key|token|secret|password)\s*[=:]\s*)[^\s\"',}]{4,}",
    VENDOR_KEY,
    r"\b(hf_|ghp_|xox[a-z]-|AKIA|AIza)[\w-]{8,}",
)
_WHO: Final = ("id", "split", "epoch", "key")  #: identity keys of a line
_SPLIT: Final = (
    *("n", "n_expected", "subset", "epochs", "records", "outcomes", "flags", "settings", "template_hash", "fidelity"),
    *("group", "parts", "verdicts", "labels", "uncounted", "unmoved", "coverage", "complete", "drawn", "metrics", "by"),
    "repeats",
)  #: of a split in results.json
_ASKED: Final = (
    *("packaged", "outcome_labels", "generation", "epochs", "limit", "content", "found", "min_coverage"),
)  #: of a split in run.json
_ENVIRONMENT: Final = ("python", "torch", "transformers", "vllm", "openai", "anthropic", "gpu", "driver")
_WHY: Final = "why"  #: why a metric has no value: a sentence of the harness
_CARD: Final = ("rubric", "version", "template_hash", "fidelity", "sees")
_FLAGS: Final = (
    *("--tasks", "--judge", "--limit", "--epochs", "--temperature", "--max-tokens", "--seed", "--strategy"),
    "--attack",
    *("--concurrency", "--phases", "--min-coverage", "--judge-limit", "--retry", "--combine"),
    *("--sample", "--judge-repeat", "--judge-vote"),
)  #: flags with names and numbers as values; other flags lose their values


def is_word(text: str) -> bool:
    """Whether a text is a word of letters, digits and `._+:=,-`."""
    return _WORD.fullmatch(text) is not None


def redact_word(text: str) -> str:
    """A word unchanged; any other text by its length and hash."""
    return text if is_word(text) else redact_text(text)


def redact_name(text: str) -> str:
    """The name of a model or data set, `NAME` or `OWNER/NAME`; only the end of a path or an address."""
    pieces = re.split(r"[/\\]", text)
    if len(pieces) <= 2 and all(map(is_word, pieces)) and not text.startswith("."):
        return text
    last = next((piece for piece in reversed(pieces) if piece), "")
    return f"…/{last}" if len(pieces) > 1 and is_word(last) else redact_text(text)


def redact_ref(text: str) -> str:
    """`SCHEME/NAME` of a model; only the end of a path."""
    scheme, slash, rest = text.partition("/")
    return f"{redact_word(scheme)}/{redact_name(rest)}" if slash else redact_name(text)


def redact_value(given: Json) -> Json:
    """A setting's value: numbers and names stay."""
    if isinstance(given, str):
        return given if not given or (is_word(given) or redact_name(given) == given) else redact_text(given)
    if isinstance(given, Mapping):
        return {redact_word(key): redact_value(each) for key, each in cast("Mapping[str, Json]", given).items()}
    if isinstance(given, list | tuple):
        return [redact_value(each) for each in cast("Sequence[Json]", given)]
    return given


def remove_keys(given: Json) -> Json:
    """A text or JSON value without anything that is or looks like a key or token."""
    if isinstance(given, str):
        bare = without_secrets(given)
        for pattern in _KEYS:
            bare = re.sub(pattern, r"\1***", bare)
        return bare
    if isinstance(given, Mapping):
        return {remove_keys(key): remove_keys(each) for key, each in cast("Mapping[str, Json]", given).items()}
    if isinstance(given, list):
        return [remove_keys(each) for each in cast("Sequence[Json]", given)]
    return given


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRedactor:
    """Redacts run.json and results.json of one run.

    Attributes:
        ids: judge id -> its id in the export, since an id may hold a model's path.
    """

    ids: Mapping[str, str]

    @staticmethod
    def of(run: Raw) -> FileRedactor:
        """For the run with this run.json."""
        ids: dict[str, str] = {}
        for judge, card in run["judges"].items():
            if isinstance(model := card.get("model"), str):
                ids[judge] = judge.replace(file_name(model), file_name(redact_ref(model)))
            else:
                ids[judge] = redact_word(judge)
        return FileRedactor(ids=ids)

    def redact_run(self, run: Raw) -> dict[str, Json]:
        """run.json, marked as redacted."""
        model = run["model"]
        return {
            "schema": run["schema"],
            "redacted": True,
            "started": redact_value(run["started"]),
            "model": {**_redact_model(model), "resolved": redact_name(str(model["resolved"] or ""))},
            "identity": _redact_identity(run["identity"]),
            "identity_digest": redact_value(run["identity_digest"]),
            "overrides": _redact_overrides(run["overrides"]),
            "plugins": _redact_plugins(run["plugins"]),
            "environment": _redact_environment(run["environment"]),
            "judges": self._redact_judges(run["judges"]),
            "tasks": {display: self._redact_entry(task) for display, task in run["tasks"].items()},
            "suites": _redact_numbers(run.get("suites") or {}),
            "history": [
                {
                    **{key: redact_value(entry[key]) for key in ("started", "finished", "seconds", "tasks", "end")},
                    "command": list(_redact_command(entry["command"])),
                    "reason": redact_text(entry["reason"]),
                }
                for entry in run.get("history", ())
            ],
        }

    def redact_results(self, results: Raw) -> dict[str, Json]:
        """results.json."""
        model, usage = results["model"], results["usage"]
        prices: Mapping[str, Any] = usage.get("prices") or {}
        return {
            "schema": results["schema"],
            **{key: redact_value(results.get(key)) for key in ("harness", "started", "finished")},
            "command": list(_redact_command(results.get("command", ()))),
            "environment": _redact_environment(results["environment"]),
            "model": {
                **_redact_model(model),
                "resolved": _redact_resolved(model["resolved"]),
                "identity": _redact_identity(model["identity"]),
            },
            "judges": self._redact_judges(results["judges"]),
            "plugins": _redact_plugins(results["plugins"]),
            "tasks": {display: self._redact_task(task) for display, task in results["tasks"].items()},
            **({"suites": _redact_numbers(results["suites"])} if results.get("suites") else {}),
            "usage": {
                **_keep_counts(usage),
                "model": _keep_counts(usage["model"]),
                "judges": {self._redact_id(judge): _keep_counts(each) for judge, each in usage["judges"].items()},
                "cost_usd": usage.get("cost_usd"),
                **({"prices": {"table": prices["table"]}} if prices.get("table") else {}),
            },
            "wall_s": results.get("wall_s"),
        }

    def _redact_id(self, judge: str) -> str:
        own = find_repeated_judge(judge)
        return self.ids.get(own, redact_word(own)) + judge.removeprefix(own)

    def _redact_judges(self, judges: Raw) -> dict[str, Json]:
        """The cards of judges; the members of an ensemble are judges too."""
        cards: dict[str, Json] = {}
        for judge, card in judges.items():
            settings = dict(card.get("settings") or {})
            members = {"of": [self._redact_id(each) for each in settings.pop("of")]} if "of" in settings else {}
            model = card.get("model")
            cards[self._redact_id(judge)] = {
                **_redact_keys(card, _CARD),
                **({"labels": _keep_texts(card["labels"])} if "labels" in card else {}),
                "model": redact_ref(model) if isinstance(model, str) else None,
                "resolved": _redact_resolved(card.get("resolved") or []),
                "settings": {**redact_value(settings), **members},
            }
        return cards

    def _redact_entry(self, task: Raw) -> dict[str, Json]:
        """A task of run.json, without its data's location."""
        splits: dict[str, Json] = {}
        for split, body in task["splits"].items():
            drawn: Raw = body.get("drawn") or {}
            splits[split] = {
                **self._redact_judge_of(body),
                **_redact_numbers_of(body, _ASKED),
                **({"data": _redact_data(body["data"])} if body.get("data") else {}),
                **(
                    {"drawn": {self._redact_id(judge): redact_value(last) for judge, last in drawn.items()}}
                    if drawn
                    else {}
                ),
            }
        return {
            **{key: redact_value(task[key]) for key in ("task", "version", "settings")},
            "data": {"root": "", "folder": "", **_redact_data(task["data"])},
            "splits": splits,
            **({"file": TaskFile.restore(task["file"]).redact()} if task.get("file") else {}),
        }

    def _redact_task(self, task: Raw) -> dict[str, Json]:
        """A task of results.json."""
        splits: dict[str, Json] = {}
        for name, split in task["splits"].items():
            others = split["other_judges"].items()
            splits[name] = {
                **self._redact_view(split),
                **({"data": _redact_data(split["data"])} if "data" in split else {}),
                **({"definitions": _keep_texts(split["definitions"])} if "definitions" in split else {}),
                "judge": self._redact_judge_of(split).get("judge"),
                "other_judges": {self._redact_id(judge): self._redact_view(view) for judge, view in others},
            }
        return {
            **{key: redact_value(task[key]) for key in ("version", "settings")},
            "data": {**_redact_data(task["data"]), "sha256": redact_value(task["data"].get("sha256"))},
            "splits": splits,
            **({"paired": _redact_numbers(task["paired"])} if "paired" in task else {}),
        }

    def _redact_view(self, view: Raw) -> dict[str, Json]:
        """A split as one judge sees it."""
        made = _redact_numbers_of(view, _SPLIT)
        for name, metric in view["metrics"].items():
            corrected: Raw | None = metric.get("corrected")
            if not corrected:
                continue
            # what people's labels say: its sentences are the harness's, its cells are labels
            rest = {key: each for key, each in corrected.items() if key not in ("design", "annotators", "notes")}
            body = cast("dict[str, Json]", _redact_numbers(rest))
            design: Raw | None = corrected["design"]
            body["design"] = None
            if design is not None:
                body["design"] = {
                    "judge": self._redact_id(design["judge"]) if design["judge"] else None,
                    "seed": redact_value(design["seed"]),
                    "cells": [
                        {**cast("dict[str, Json]", _redact_numbers(cell)), "name": str(cell["name"])}
                        for cell in design["cells"]
                    ],
                }
            people: Raw = corrected.get("annotators") or {}
            if people:
                body["annotators"] = {self._redact_id(who): _redact_numbers(own) for who, own in people.items()}
            if "notes" in corrected:
                body["notes"] = [str(note) for note in corrected["notes"]]
            cast("dict[str, Any]", made["metrics"])[name]["corrected"] = body
        return made

    def _redact_judge_of(self, split: Raw) -> dict[str, Json]:
        judge = split.get("judge")
        return {"judge": self._redact_id(judge)} if isinstance(judge, str) else {}


def _redact_keys(body: Raw, keys: Sequence[str]) -> dict[str, Json]:
    return {key: redact_value(body[key]) for key in keys if key in body}


def _redact_numbers_of(body: Raw, keys: Sequence[str]) -> dict[str, Json]:
    return {key: _redact_numbers(body[key]) for key in keys if key in body}


def _redact_numbers(given: Json) -> Json:
    """The results: numbers under the names of metrics, labels and groups."""
    if isinstance(given, Mapping):
        body = cast("Mapping[str, Json]", given)
        return {key: str(each) if key == _WHY else _redact_numbers(each) for key, each in body.items()}
    if isinstance(given, list):
        return [_redact_numbers(each) for each in cast("Sequence[Json]", given)]
    return redact_value(given)


def _keep_texts(texts: Mapping[str, str]) -> dict[str, Json]:
    """Names with their plugins' descriptions, which hold nothing of a sample."""
    return {str(name): str(text) for name, text in texts.items()}


def _keep_counts(given: Mapping[str, Json]) -> dict[str, Json]:
    """Names with numbers; anything else is left out."""
    return {key: each for key, each in given.items() if isinstance(each, int | float)}


def _redact_model(model: Raw) -> dict[str, Json]:
    """The model's entry in run.json and results.json."""
    training: Raw = model.get("training") or {}
    body: dict[str, Json] = {
        "ref": redact_ref(model["ref"]),
        "settings": redact_value(model["settings"]),
        "strategy": redact_value(model["strategy"]),
        "notes": [redact_text(note) for note in model.get("notes") or ()],
        **({"attack": redact_value(model["attack"])} if model.get("attack") else {}),
    }
    if training:
        more = {
            "held_out": list(map(str, training.get("held_out") or ())),  # names of groups, kept
            "base_files": redact_word(training.get("base_files") or ""),
        }
        body["training"] = {
            "tuned_from": redact_ref(str(training.get("tuned_from") or "")),
            "trained_on": [redact_name(each) for each in training.get("trained_on") or ()],
            **{key: each for key, each in more.items() if each},
        }
    return body


def _redact_identity(identity: Json) -> Json:
    if not isinstance(identity, Mapping):
        return redact_value(identity)
    given = cast("Raw", identity)
    return {
        **_redact_keys(given, ("scheme", "base", "settings", "strategy", "attack", "fingerprint")),
        "name": redact_name(str(given.get("name") or "")),
        "overrides": _redact_overrides(given.get("overrides") or {}),
    }


def _redact_overrides(overrides: Raw) -> dict[str, Json]:
    system = redact_text(overrides.get("system") or "")
    return {"generation": redact_value(overrides.get("generation") or {}), "system": system}


def _redact_resolved(names: Sequence[str]) -> list[str]:
    return sorted({redact_name(each) for each in names})


def _redact_data(data: Raw) -> dict[str, Json]:
    """The source of data; its licence keeps the task author's words."""
    return {
        "source": redact_name(str(data.get("source") or "")),
        "revision": redact_value(data.get("revision")),
        "licence": str(data.get("licence") or ""),
        **({"toy": data["toy"]} if isinstance(data.get("toy"), bool) else {}),
        **({"checked": redact_word(data["checked"])} if data.get("checked") else {}),
    }


def _redact_plugins(plugins: Raw) -> dict[str, Json]:
    return {redact_word(plugin): _redact_words(str(origin)) for plugin, origin in plugins.items()}


def _redact_environment(environment: Raw) -> dict[str, Json]:
    """Versions, the accelerator, and only the platform's name."""
    given = {key: environment[key] for key in _ENVIRONMENT if key in environment}
    platform = str(environment.get("platform") or "").partition("-")[0]
    return {
        **{key: _redact_words(each) if isinstance(each, str) else each for key, each in given.items()},
        "platform": redact_word(platform),
    }


def _redact_words(text: str) -> str:
    return " ".join(map(redact_word, text.split()))


def _redact_command(arguments: Sequence[str]) -> Iterator[str]:
    """The verb and the flags, with values only for flags that take names and numbers, and the model's name."""
    before = ""
    for place, argument in enumerate(arguments):
        flag, equals, given = argument.partition("=")
        if argument.startswith("-") and is_word(flag):
            yield f"{flag}={_redact_argument(flag, given)}" if equals else flag
        elif place < 2 and is_word(argument):
            yield argument
        else:
            yield _redact_argument(before, argument)
        before = "" if equals else argument


def _redact_argument(flag: str, given: str) -> str:
    if flag == "--model":
        return redact_ref(given)
    if flag not in _FLAGS:
        return "…"
    return ",".join(redact_ref(each) if "/" in each else redact_word(each) for each in given.split(","))


@dataclass(frozen=True, slots=True, kw_only=True)
class LineRedactor:
    """Redacts the lines of one task.

    Attributes:
        public: words that results.json names: labels, groups of breakdowns, strata.
    """

    public: frozenset[str]

    @staticmethod
    def of(task: Raw) -> LineRedactor:
        """For the task with this part of results.json, possibly empty."""
        public: set[str] = set()
        for split in task.get("splits", {}).values():
            for view in (split, *split["other_judges"].values()):
                public.update(view["labels"], *view["by"].values())
                for metric in view["metrics"].values():
                    strata: Raw = metric.get("strata") or {}
                    public.update(strata)
        return LineRedactor(public=frozenset(public))

    def redact_asked(self, line: Raw) -> dict[str, Json]:
        """A line of asked.jsonl."""
        return {**_keep_who(line), **self._redact_groups(line)}

    def redact_response(self, line: Raw) -> dict[str, Json]:
        """A line of responses.jsonl: an answer or a failure."""
        text: str = line["text"]
        attack: Raw = line.get("attack") or {}
        attacked: dict[str, Json] = {
            "question": [_redact_part(part) for part in attack.get("question") or ()],
            "notes": [redact_text(str(note)) for note in attack.get("notes") or ()],
        }
        body: dict[str, Json]
        if "reason" in line:
            body = {"reason": redact_word(line["reason"]), "message": redact_text(line["message"])}
        else:
            steps: Raw = line.get("steps") or {}
            body = {
                "reasoning": redact_text(line["reasoning"]),
                "seconds": redact_value(line["seconds"]),
                "choices": {self._redact_leaf(choice): each for choice, each in line["choices"].items()},
                "notes": [redact_text(note) for note in line["notes"]],
                "steps": {redact_word(step): redact_text(str(text)) for step, text in steps.items()},
            }
        return {
            **_keep_who(line),
            "outcome": redact_value(line["outcome"]),
            "text": redact_text(text),
            **({TAKEN_OUT: line_hash(line), "text_length": len(text)} if text or TAKEN_OUT in line else {}),
            **body,
            "flags": [flag for flag in line["flags"] if is_word(flag)],
            "usage": _keep_counts(line["usage"]),
            **_keep_calls(line),
            "at": redact_value(line.get("at")),
            "model": redact_name(str(line["model"] or "")),
            **self._redact_groups(line),
            "prompt": [_redact_part(part) for part in line["prompt"]],
            **({"attack": attacked} if attack else {}),
        }

    def redact_verdict(self, line: Raw) -> dict[str, Json]:
        """A line of one judge's verdicts; its label is the rubric's own."""
        axes: Raw = line["axes"]
        return {
            **_keep_who(line),
            "answer": redact_value(line["answer"]),
            "state": redact_value(line["state"]),
            "label": line["label"],
            "axes": {redact_word(axis): self._redact_leaf(each) for axis, each in axes.items()},
            "reason": redact_text(line["reason"]),
            "flags": [flag for flag in line.get("flags", ()) if is_word(flag)],
            "raw": [redact_text(reply) for reply in line["raw"]],
            "usage": _keep_counts(line["usage"]),
            **_keep_calls(line),
            "models": [redact_name(each) for each in line["models"]],
            **_redact_keys(line, ("at", "together")),
        }

    def _redact_groups(self, line: Raw) -> dict[str, Json]:
        """A record's groups and target; a cluster that is the sample itself stays so."""
        category: str = line["category"]
        cluster: str = line["cluster"]
        tags: Raw = line["tags"]
        return {
            "category": category if is_word(category) else self._redact_leaf(category),
            "cluster": cluster if cluster == line["id"] or is_redacted(cluster) else redact_text(cluster),
            "tags": {redact_word(tag): self._redact_leaf(each) for tag, each in tags.items()},
            "target": self._redact_leaf(line["target"]),
        }

    def _redact_leaf(self, given: Json) -> Json:
        """A value of a data set: numbers, words of the results, and answers to choose (yes, no, a letter) stay."""
        if isinstance(given, str):
            stays = given in self.public or _CHOICE.fullmatch(given.strip()) is not None
            return given if stays else redact_text(given)
        if isinstance(given, Mapping):
            return {redact_word(key): self._redact_leaf(each) for key, each in cast("Raw", given).items()}
        if isinstance(given, list):
            return [self._redact_leaf(each) for each in cast("Sequence[Json]", given)]
        return given


def _keep_who(line: Raw) -> dict[str, Json]:
    return {key: line[key] for key in _WHO}


def _keep_calls(line: Raw) -> dict[str, Json]:
    return _keep_counts({"calls": line["calls"]}) if "calls" in line else {}


def _redact_part(part: Raw) -> dict[str, Json]:
    """A part of a prompt: an image by its hash, its path by the path's hash."""
    role = {"role": redact_value(part["role"])}
    turn = {"turn": redact_value(part["turn"])} if "turn" in part else {}  # a reply of the model
    if "image" in part:
        return {**role, "image": redact_text(str(part["image"])), "sha256": redact_value(part["sha256"]), **turn}
    return {**role, "text": redact_text(part["text"]), **turn}
