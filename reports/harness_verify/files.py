"""run.json and results.json of a redacted export: numbers and names, by a list of the keys that are kept.

Both go through the same functions, so that results made anew of the redacted run are the redacted results.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from harness.store.folder import file_name
from harness.types import Json

from .names import counts, is_word, name, ref, taken_out, value, word

Raw = Mapping[str, Any]
_SPLIT: Final = (
    *("n", "n_expected", "subset", "epochs", "records", "outcomes", "flags", "settings", "template_hash", "fidelity"),
    *("group", "parts", "verdicts", "labels", "uncounted", "unmoved", "coverage", "complete", "drawn", "metrics", "by"),
)
_ASKED: Final = ("packaged", "outcome_labels", "generation", "epochs", "limit", "content", "found", "min_coverage")
_ENVIRONMENT: Final = ("python", "torch", "transformers", "vllm", "openai", "anthropic", "gpu", "driver")
_WHY: Final = "why"  #: of a metric without a value: a sentence of the harness
_CARD: Final = ("rubric", "version", "template_hash", "fidelity", "sees")
#: flags whose values are names and numbers; of all others only that they were given
_SAID: Final = (
    *("--tasks", "--judge", "--limit", "--epochs", "--temperature", "--max-tokens", "--seed", "--strategy"),
    *("--concurrency", "--phases", "--min-coverage", "--judge-limit", "--retry", "--combine"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """The two files of one run, redacted.

    Attributes:
        ids: id of each judge -> what it is called in the export: an id may hold the path of a model.
    """

    ids: Mapping[str, str]

    @staticmethod
    def of(run: Raw) -> Files:
        """For the run with this run.json."""
        return Files(ids={judge: _renamed(judge, card.get("model")) for judge, card in run["judges"].items()})

    def run(self, run: Raw) -> dict[str, Json]:
        """run.json, marked as redacted."""
        model = run["model"]
        return {
            "schema": run["schema"],
            "redacted": True,
            "started": value(run["started"]),
            "model": {**_model(model), "resolved": name(str(model["resolved"] or ""))},
            "identity": _identity(run["identity"]),
            "identity_digest": value(run["identity_digest"]),
            "overrides": _overrides(run["overrides"]),
            "plugins": _plugins(run["plugins"]),
            "environment": _environment(run["environment"]),
            "judges": self._judges(run["judges"]),
            "tasks": {display: self._entry(task) for display, task in run["tasks"].items()},
            "suites": _figures(run.get("suites") or {}),
            "history": [_invocation(each) for each in run.get("history", ())],
        }

    def results(self, results: Raw) -> dict[str, Json]:
        """results.json."""
        model, spent = results["model"], results["usage"]
        return {
            "schema": results["schema"],
            **{key: value(results.get(key)) for key in ("harness", "started", "finished")},
            "command": list(_command(results.get("command", ()))),
            "environment": _environment(results["environment"]),
            "model": {
                **_model(model),
                "resolved": _resolved(model["resolved"]),
                "identity": _identity(model["identity"]),
            },
            "judges": self._judges(results["judges"]),
            "plugins": _plugins(results["plugins"]),
            "tasks": {display: self._task(task) for display, task in results["tasks"].items()},
            **({"suites": _figures(results["suites"])} if results.get("suites") else {}),
            "usage": {
                "model": counts(spent["model"]),
                "judges": {self.ids.get(judge, word(judge)): counts(took) for judge, took in spent["judges"].items()},
                "cost_usd": spent.get("cost_usd"),
            },
            "wall_s": results.get("wall_s"),
        }

    def _judges(self, judges: Raw) -> dict[str, Json]:
        return {self.ids.get(judge, word(judge)): self._card(card) for judge, card in judges.items()}

    def _card(self, card: Raw) -> dict[str, Json]:
        """What is said of a judge; those that an ensemble is made of are judges too."""
        settings = dict(card.get("settings") or {})
        members = {"of": [self.ids.get(each, word(each)) for each in settings.pop("of")]} if "of" in settings else {}
        model = card.get("model")
        return {
            **{key: value(card[key]) for key in _CARD if key in card},
            **({"labels": _told(card["labels"])} if "labels" in card else {}),
            "model": ref(model) if isinstance(model, str) else None,
            "resolved": _resolved(card.get("resolved") or []),
            "settings": {**value(settings), **members},
        }

    def _entry(self, task: Raw) -> dict[str, Json]:
        """A task of run.json; where its data lay is nobody's business."""
        return {
            **{key: value(task[key]) for key in ("task", "version", "settings")},
            "data": {"root": "", "folder": "", **_data(task["data"])},
            "splits": {
                split: {
                    **self._judge(body),
                    **_kept(body, _ASKED),
                    **({"data": _data(body["data"])} if body.get("data") else {}),
                    **self._rename_drawn(body),
                }
                for split, body in task["splits"].items()
            },
        }

    def _rename_drawn(self, split: Raw) -> dict[str, Json]:
        """How far the draw of each judge goes."""
        drawn: Raw = split.get("drawn") or {}
        renamed = {self.ids.get(judge, word(judge)): value(last) for judge, last in drawn.items()}
        return {"drawn": renamed} if renamed else {}

    def _task(self, task: Raw) -> dict[str, Json]:
        """A task of results.json."""
        return {
            **{key: value(task[key]) for key in ("version", "settings")},
            "data": {**_data(task["data"]), "sha256": value(task["data"].get("sha256"))},
            "splits": {split: self._split(body) for split, body in task["splits"].items()},
            **({"paired": _figures(task["paired"])} if "paired" in task else {}),
        }

    def _split(self, split: Raw) -> dict[str, Json]:
        others = {
            self.ids.get(judge, word(judge)): _kept(view, _SPLIT) for judge, view in split["other_judges"].items()
        }
        told = {"definitions": _told(split["definitions"])} if "definitions" in split else {}
        data = {"data": _data(split["data"])} if "data" in split else {}
        judge = self._judge(split).get("judge")
        return {**_kept(split, _SPLIT), **data, **told, "judge": judge, "other_judges": others}

    def _judge(self, split: Raw) -> dict[str, Json]:
        judge = split.get("judge")
        return {"judge": self.ids.get(judge, word(judge))} if isinstance(judge, str) else {}


def _renamed(judge: str, model: Json) -> str:
    return judge.replace(file_name(model), file_name(ref(model))) if isinstance(model, str) else word(judge)


def _kept(body: Raw, keys: Sequence[str]) -> dict[str, Json]:
    return {key: _figures(body[key]) for key in keys if key in body}


def _figures(given: Json) -> Json:
    """Numbers under the names of metrics, labels and groups, which are the results."""
    if isinstance(given, Mapping):
        return {
            key: str(each) if key == _WHY else _figures(each) for key, each in cast("Mapping[str, Json]", given).items()
        }
    if isinstance(given, list):
        return [_figures(each) for each in cast("Sequence[Json]", given)]
    return value(given)


def _told(words: Mapping[str, str]) -> dict[str, Json]:
    """Names with what their plugin says of them, which holds nothing of a sample."""
    return {str(name): str(text) for name, text in words.items()}


def _model(model: Raw) -> dict[str, Json]:
    """What run.json and results.json both say of the model."""
    training: Raw = model.get("training") or {}
    return {
        "ref": ref(model["ref"]),
        "settings": value(model["settings"]),
        "strategy": value(model["strategy"]),
        "notes": [taken_out(note) for note in model.get("notes") or ()],
        **({"training": _training(training)} if training else {}),
    }


def _training(training: Raw) -> dict[str, Json]:
    more = {
        "held_out": list(map(str, training.get("held_out") or ())),  # names of groups, which are kept
        "base_files": word(training.get("base_files") or ""),
    }
    return {
        "tuned_from": ref(str(training.get("tuned_from") or "")),
        "trained_on": [name(each) for each in training.get("trained_on") or ()],
        **{key: each for key, each in more.items() if each},
    }


def _identity(identity: Json) -> Json:
    if not isinstance(identity, Mapping):
        return value(identity)
    given = cast("Raw", identity)
    kept = {key: value(given[key]) for key in ("scheme", "base", "settings", "strategy", "fingerprint") if key in given}
    return {**kept, "name": name(str(given.get("name") or "")), "overrides": _overrides(given.get("overrides") or {})}


def _overrides(overrides: Raw) -> dict[str, Json]:
    return {"generation": value(overrides.get("generation") or {}), "system": taken_out(overrides.get("system") or "")}


def _resolved(names: Sequence[str]) -> list[str]:
    return sorted({name(each) for each in names})


def _data(data: Raw) -> dict[str, Json]:
    """Where data comes from; its licence is told in the words of the task's author."""
    return {
        "source": name(str(data.get("source") or "")),
        "revision": value(data.get("revision")),
        "licence": str(data.get("licence") or ""),
        **({"toy": data["toy"]} if isinstance(data.get("toy"), bool) else {}),
        **({"checked": word(data["checked"])} if data.get("checked") else {}),
    }


def _plugins(plugins: Raw) -> dict[str, Json]:
    """Plugin -> distribution and version."""
    return {word(plugin): " ".join(map(word, str(origin).split())) for plugin, origin in plugins.items()}


def _environment(environment: Raw) -> dict[str, Json]:
    """Versions and the accelerator, and of the platform only which one it is."""
    kept = {key: environment[key] for key in _ENVIRONMENT if key in environment}
    told = {key: " ".join(map(word, each.split())) if isinstance(each, str) else each for key, each in kept.items()}
    platform = str(environment.get("platform") or "").partition("-")[0]
    return {**told, "platform": word(platform)}


def _invocation(entry: Raw) -> dict[str, Json]:
    return {
        **{key: value(entry[key]) for key in ("started", "finished", "seconds", "tasks", "end")},
        "command": list(_command(entry["command"])),
        "reason": taken_out(entry["reason"]),
    }


def _command(arguments: Sequence[str]) -> Iterator[str]:
    """The verb and the flags; values only of flags that take names and numbers, and the model's name."""
    before = ""
    for place, argument in enumerate(arguments):
        flag, equals, given = argument.partition("=")
        if argument.startswith("-") and is_word(flag):
            yield f"{flag}={_argument(flag, given)}" if equals else flag
        elif place < 2 and is_word(argument):
            yield argument
        else:
            yield _argument(before, argument)
        before = "" if equals else argument


def _argument(flag: str, given: str) -> str:
    if flag == "--model":
        return ref(given)
    if flag not in _SAID:
        return "…"
    return ",".join(ref(each) if "/" in each else word(each) for each in given.split(","))
