"""A task of lm-eval, read from its YAML file, as a task file. What it cannot say is named, never dropped silently.

lm-eval compares log-probabilities of options, shows solved examples and runs Python functions. A task file asks for a
written answer and runs nothing, so a number on it is no number of lm-eval: `harness_lm_eval` runs the task itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any, Final, cast

from harness.errors import HarnessError
from harness.task_files.draft import Draft, Guess, name_in_template, render
from harness.task_files.words import is_template

#: keys that change nothing here
_HARMLESS: Final = frozenset(
    {
        "task", "task_alias", "tag", "group", "group_alias", "metadata", "should_decontaminate", "target_delimiter",
        "fewshot_delimiter", "doc_to_decontamination_query", "training_split", "validation_split", "fewshot_split",
        "unsafe_code", "doc_to_image", "dataset_kwargs", "num_fewshot",
    }
)  # fmt: skip
_READ: Final = frozenset(
    {
        "dataset_path", "dataset_name", "test_split", "doc_to_text", "doc_to_target", "doc_to_choice", "output_type",
        "generation_kwargs", "description", "metric_list",
    }
)  # fmt: skip
_LOCAL: Final = ("json", "csv", "parquet")  #: values of `dataset_path` that mean files
_LENGTHS: Final = ("max_gen_toks", "max_new_tokens", "max_tokens")
_MARK: Final = "<image>"
_DEPTH: Final = 10  #: files that include each other


def draft_from_lm_eval(source: Path) -> Draft:
    """The task file for a task of lm-eval. Raises HarnessError for one that cannot be asked without Python."""
    given = _load(source)
    _check_values(given, source)
    lost = [f"{key} (a Python function)" for key, value in given.items() if isinstance(value, _Function)]
    lost += [key for key in given if key not in _HARMLESS | _READ and not isinstance(given[key], _Function)]
    if int(given.get("num_fewshot") or 0) > 0:
        lost.append("num_fewshot (solved examples)")
    for key in ("doc_to_text", "doc_to_target"):
        if not isinstance(given.get(key), str | int):
            what = f"{key} is a Python function" if isinstance(given.get(key), _Function) else f"it has no {key}"
            raise HarnessError(what, where=str(source), remedy="--tasks lm-eval:NAME runs the task by lm-eval itself")
    if not str(given["doc_to_text"]).strip():
        what = "its doc_to_text is empty: only its options are compared, and nothing is asked"
        raise HarnessError(what, where=str(source), remedy="--tasks lm-eval:NAME runs the task by lm-eval itself")
    kind = str(given.get("output_type", "generate_until"))
    if kind not in ("multiple_choice", "generate_until"):
        raise HarnessError(
            f"its output_type is {kind}, which is not a written answer",
            where=str(source),
            remedy="--tasks lm-eval:NAME runs the task by lm-eval itself",
        )
    guesses: list[Guess] = []
    notes: list[str] = []
    made: dict[str, Any] = {
        "description": f"lm-eval's {given.get('task', source.stem)}, without lm-eval",
        "data": _read_data(given, guesses, notes, source),
    }
    question = str(given["doc_to_text"])
    if is_template(question) and given.get("description"):
        question = f"{given['description']}{question}"
    elif given.get("description"):
        question = (
            f"{given['description']}{{{{ {question if question.isidentifier() else name_in_template(question)} }}}}"
        )
    made["question"] = question
    guesses.append(Guess(key="question", value=question, why="doc_to_text"))
    if images := given.get("doc_to_image"):
        if isinstance(images, _Function):
            raise HarnessError("doc_to_image is a Python function", where=str(source), remedy="name a column in images")
        made["images"] = images
        guesses.append(Guess(key="images", value=images, why="doc_to_image"))
        if _MARK in question:
            made["order"] = "marks"
            guesses.append(Guess(key="order", value="marks", why=f"doc_to_text has {_MARK}"))
    scoring = _read_answers(given, kind, made, guesses, notes)
    if lost:
        notes.append(f"not supported, and left out: {', '.join(lost)}")
    notes.append("a number on it is no number of lm-eval: prompts without solved examples, and our own scoring")
    return Draft(text=render(made, scoring=scoring), guesses=tuple(guesses), notes=tuple(notes))


def _check_values(given: Mapping[str, Any], source: Path) -> None:
    """Raise HarnessError for a value that is none of lm-eval's."""
    sampling, metrics = given.get("generation_kwargs"), given.get("metric_list")
    inner: dict[str, Any] = dict(cast("Mapping[str, Any]", sampling)) if isinstance(sampling, dict) else {}
    numbers = {name: inner.get(name) for name in (*_LENGTHS, "temperature")} | {"num_fewshot": given.get("num_fewshot")}
    wanted = {name: "a number" for name, value in numbers.items() if not _is_number(value)}
    for key in ("generation_kwargs", "dataset_kwargs"):
        if not isinstance(given.get(key) or {}, dict | _Function):
            wanted[key] = "a mapping"
    listed = _items(metrics)
    if metrics and (not listed or not all(isinstance(each, dict) for each in listed)):
        wanted["metric_list"] = "a list of mappings"
    for key, kind in wanted.items():
        what = f"{key} is {given.get(key, numbers.get(key))!r:.60}, not {kind}"
        raise HarnessError(what, where=str(source), remedy="correct it in a copy of the file, or leave it out there")


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and isfinite(value))


def _read_data(given: Mapping[str, Any], guesses: list[Guess], notes: list[str], source: Path) -> dict[str, Any]:
    path = given.get("dataset_path")
    split = str(given.get("test_split") or given.get("validation_split") or "test")
    if not isinstance(path, str):
        raise HarnessError("it has no dataset_path", where=str(source), remedy="write data.files yourself")
    if path in _LOCAL:
        files: Any = cast("Mapping[str, Any]", given.get("dataset_kwargs") or {}).get("data_files")
        named = cast("Mapping[str, Any]", files).get(split) if isinstance(files, dict) else files
        if not named:
            raise HarnessError(
                f"dataset_kwargs names no file of the split {split!r}",
                where=str(source),
                remedy=f"write dataset_kwargs.data_files.{split}, or give the data file: --from data.csv",
            )
        guesses.append(Guess(key="data.files", value=named, why="dataset_kwargs.data_files"))
        return {"files": named}
    folder = f"{given['dataset_name']}/" if given.get("dataset_name") else "**/"
    pattern = f"{folder}{split}-*.parquet"
    guesses.append(Guess(key="data", value=f"{path}: {pattern}", why="dataset_path, dataset_name and test_split"))
    notes.append(f"the files of {path} were not looked at: correct data.files if they are called otherwise")
    notes.append("write data.revision, the commit that you fetch, so that others get the same records")
    return {
        "hub": path,
        "files": pattern,
        "fetch": [pattern.removeprefix("**/") if folder != "**/" else f"*{split}-*.parquet"],
    }


def _read_answers(
    given: Mapping[str, Any], kind: str, made: dict[str, Any], guesses: list[Guess], notes: list[str]
) -> Mapping[str, Any]:
    target = str(given["doc_to_target"])
    made["answer"] = target if not target.isdecimal() else f"{{{{ {target} }}}}"
    guesses.append(Guess(key="answer", value=made["answer"], why="doc_to_target"))
    if kind == "multiple_choice":
        choices = given.get("doc_to_choice")
        if isinstance(choices, _Function) or not choices:
            raise HarnessError("doc_to_choice is not a list, column or template", remedy="write choices yourself")
        made["choices"] = {"texts": list(map(str, _items(choices)))} if _items(choices) else choices
        guesses.append(Guess(key="choices", value=made["choices"], why="doc_to_choice"))
        notes.append("lm-eval compares log-probabilities of the options; here the model writes a letter")
        return {"kind": "choice"}
    sampling = cast("Mapping[str, Any]", given.get("generation_kwargs") or {})
    generation: dict[str, Any] = {}
    length = next((sampling[name] for name in _LENGTHS if sampling.get(name)), None)
    generation |= {"max_tokens": int(length)} if length else {}
    generation |= {"temperature": float(sampling["temperature"])} if sampling.get("temperature") is not None else {}
    stops = [each for each in _items(sampling.get("until")) if each]
    generation |= {"stop": list(map(str, stops))} if stops else {}
    if generation:
        made["generation"] = generation
        guesses.append(Guess(key="generation", value=generation, why="generation_kwargs"))
    metrics = [str(each.get("metric")) for each in cast("list[Mapping[str, Any]]", given.get("metric_list") or [])]
    if odd := [each for each in metrics if each != "exact_match"]:
        notes.append(
            f"its metrics are not supported: {', '.join(odd)}; kind: exact counts answers that equal the target"
        )
    return {"kind": "exact"}


def _items(value: object) -> Sequence[Any]:
    """The items of a list; none of another value."""
    return cast("Sequence[Any]", value) if isinstance(value, list) else ()


@dataclass(frozen=True, slots=True)
class _Function:
    """The name after `!function`, which is never imported."""

    name: str


def _load(source: Path) -> dict[str, Any]:
    """A task of lm-eval with what it includes. Raises HarnessError."""
    found = _load_one(source, 0)
    if not {"dataset_path", "doc_to_text"} & found.keys():
        what = "the file is no task of lm-eval: it has neither dataset_path nor doc_to_text"
        raise HarnessError(what, where=str(source), remedy="give a data file: --from data.csv")
    return found


def _load_one(source: Path, depth: int) -> dict[str, Any]:
    """One file over those that it includes, which lie beside it."""
    import yaml

    class Loader(yaml.SafeLoader):
        """Knows lm-eval's tag `!function`."""

    def read_function(_loader: Any, node: Any) -> _Function:
        return _Function(node.value)

    Loader.add_constructor("!function", read_function)
    try:
        found: Any = yaml.load(source.read_text(encoding="utf-8"), Loader)  # noqa: S506 - a SafeLoader
    except OSError as error:
        raise HarnessError(
            f"cannot read lm-eval's task: {error.strerror}", where=str(source), remedy="give the path of its YAML file"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise HarnessError(
            f"lm-eval's task is not YAML: {' '.join(str(error).split())}",
            where=str(source),
            remedy="correct it there, or give the data file: --from data.csv",
        ) from None
    if not isinstance(found, dict):
        raise HarnessError(
            "the file is no task of lm-eval", where=str(source), remedy="give a data file: --from data.csv"
        )
    own = {str(key): value for key, value in cast("Mapping[Any, Any]", found).items()}
    base = own.pop("include", None)
    if not isinstance(base, str):
        return own
    if depth >= _DEPTH:
        raise HarnessError(
            f"more than {_DEPTH} files include each other",
            where=str(source),
            remedy="see whether one of them includes itself",
        )
    return {**_load_one(source.parent / base, depth + 1), **own}
