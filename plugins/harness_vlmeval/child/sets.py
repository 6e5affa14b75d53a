"""VLMEvalKit's data sets: their questions as rows, and their scores of answers, one result for each.

The user's files stay unchanged: a data set with another checksum is not fetched over the user's copy, images go to our
folder, and each scoring has an empty folder. Nothing is fetched unless allowed.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import importlib
import json
import math
import os
import socket
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from .models import check_installed
from .protocol import Refused, describe_error

_ROTATED = ("mmbench", "ccbench", "circular", "mmcr")  # names of sets with rotated options, as VLMEvalKit tests them
_ONE_BY_ONE = "HarnessRowByRow"
_ROTATION = 1_000_000  # added to the index for each rotation
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_TAGS = (
    "l2-category",
    "split",
    "difficulty",
    "topic_difficulty",
    "img_type",
    "image_type",
    "image_relation",
    "subfield",
)
_NUMBER, _COUNTERPART = "idx", "counterpart_idx"  # MUIRBench: a question's number, and its twin's
_KINDS = ("MCQ", "Y/N")
_UNREADABLE = "unreadable/"  # a missing folder: marks a row without a valid prompt
_PIECE = 1 << 20
_LONGEST = 200
_UNPARSED = ("Failed in Prefetch", "Failed to predict")  # VLMEvalKit's text for an answer that names no option
_UNKNOWN = "Unknown"  # VLMEvalKit's word for an answer that is neither yes nor no
_LONGEST_LOG = 500


def list_names() -> list[str]:
    """All data sets that VLMEvalKit knows by name."""
    return sorted({str(name) for name in _dataset_module().SUPPORTED_DATASETS})


def fetch(name: str) -> dict[str, Any]:
    """Let VLMEvalKit download a data set into the data folder."""
    return {"count": len(_DataSet(name, fetch=True).set.data)}


def build(name: str, folder: Path) -> dict[str, Any]:
    """Write `rows.jsonl` and the images of its rows into a folder; return facts about the set.

    Raises:
        Refused: it is no set of images or texts, has no scores per sample, holds no answers, or no row makes a valid
            prompt, for example if a column is missing.
    """
    found = _DataSet(name, fetch=False)
    found.check_askable()
    if not getattr(found.set, "meta_only", True):
        found.set.img_root = str(folder / "images")
    rows = found.rows()
    faults = [  # why rows make no valid prompt
        parts[1]["value"]
        for parts in (row["parts"] for row in rows)
        if len(parts) == 2 and parts[0]["type"] == "image" and parts[0]["value"].startswith(_UNREADABLE)
    ]
    if faults and len(faults) == len(rows):
        raise Refused("no_prompts", f"no row of {name}.tsv makes a valid prompt: {faults[0]}")
    part = folder / f"rows-{os.getpid()}.part"
    with part.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row) + "\n")
    part.replace(folder / "rows.jsonl")  # so that readers never see half a file
    return {"type": found.kind, "count": len(found.set.data), "md5": found.md5, "expected": found.expected}


def evaluate(name: str, answers: dict[str, str], folder: Path) -> dict[str, Any]:
    """VLMEvalKit's score of answers by exact matching: `hits` for each index, and `overall` if it gave one.

    Raises:
        Refused: no_hits, with the error of its code, if it left no result per sample.
    """
    found = _DataSet(name, fetch=False)
    found.check_askable()
    os.environ["PRED_FORMAT"] = "tsv"  # a spreadsheet would change the answers
    data = found.set.data
    data = data[[str(index) in answers for index in data["index"]]].copy()
    data = data.drop(columns=[column for column in ("image",) if column in data])
    data["prediction"] = [_clean_answer(answers[str(index)]) for index in data["index"]]
    file = folder / "answers.pkl"
    importlib.import_module("vlmeval.smp").dump(data, str(file))
    overall: dict[str, Any] = {}
    raised: dict[str, Any] = {}
    with found.row_by_row():
        try:
            result = found.set.evaluate(str(file), model="exact_matching", nproc=1)
            table = result.to_dict("list") if hasattr(result, "to_dict") else result
            overall = json.loads(json.dumps(table, default=str)) if isinstance(table, dict) else {}
        except BaseException as error:  # noqa: BLE001 - results per sample may still exist
            raised = describe_error(error)
    each = _read_hits(folder, file, name)
    if not each:
        more = {name: value for name, value in raised.items() if name not in ("kind", "message")}
        raise Refused("no_hits", raised.get("message") or "no result for each sample", **more)
    return {"hits": each, "overall": overall, "raised": raised}


class _DataSet:
    """A data set of VLMEvalKit, built from the user's file."""

    def __init__(self, name: str, *, fetch: bool) -> None:
        self.name = name
        self.root = Path(os.environ["LMUData"])  # noqa: SIM112 - VLMEvalKit's name for the data folder
        module = _dataset_module()
        if not fetch:
            _stay_offline()
        file = self.root / f"{name}.tsv"
        self.md5 = _md5(file) if file.exists() else ""
        known = next((kind for kind in module.DATASET_CLASSES if name in kind.supported_datasets()), None)
        sums = getattr(known, "DATASET_MD5", {})
        self.expected = str(sums.get(name) or "")
        if self.md5 and name in sums:
            sums[name] = self.md5  # with another one VLMEvalKit would fetch it over the user's file
        self.set = module.build_dataset(name)
        if self.set is None:
            raise Refused("no_set", f"VLMEvalKit cannot make a data set of {name}.tsv: it needs a column `question`")
        self.kind = str(getattr(self.set, "TYPE", ""))

    def check_askable(self) -> None:
        """Raise Refused if the set cannot be asked or scored here."""
        modality = getattr(self.set, "MODALITY", "")
        if modality not in ("IMAGE", "TEXT"):
            raise Refused("no_images", f"{self.name} is a set of kind {modality}: only images and texts are supported")
        matched = self.set.__class__.evaluate is _dataset_module().ImageVQADataset.evaluate  # without a judge
        if self.kind not in _KINDS and not matched:
            raise Refused("no_hits", f"{self.name} is a set of type {self.kind}, which has no score per sample here")
        if "answer" not in self.set.data:
            raise Refused("no_answers", f"{self.name} holds no answers: it is scored elsewhere, by submission")

    def rows(self) -> list[dict[str, Any]]:
        """All rows; those of one rotated question are adjacent."""
        columns = {str(column) for column in self.set.data.columns} - {"image"}
        rows = [self._row(number, columns) for number in range(len(self.set.data))]
        places: dict[str, int] = {}
        for row in rows:
            places.setdefault(row["group"], len(places))
        return sorted(rows, key=lambda row: places[row["group"]])

    @contextlib.contextmanager
    def row_by_row(self) -> Any:
        """Let VLMEvalKit score each rotation by itself: the harness combines the rotations.

        VLMEvalKit's own way scores a question with missing rotations from the others, and shares a file in /tmp with
        every process of the same second.
        """
        base: Any = _dataset_module().ImageMCQDataset
        if self._is_rotated() and self.set.__class__.evaluate is base.evaluate:
            self.set.dataset_name = _ONE_BY_ONE
        yield
        self.set.dataset_name = self.name

    def _is_rotated(self) -> bool:
        return any(word in self.name.lower() for word in _ROTATED)

    def _row(self, number: int, columns: set[str]) -> dict[str, Any]:
        line = self.set.data.iloc[number]
        index = str(line["index"])
        values = {name: cell for name in columns if (cell := _cell_text(line[name])) is not None}
        parts = self._parts(line, index)
        group = (values.get("g_index") or str(int(index) % _ROTATION)) if self._is_rotated() else index
        images = [str(self.root / each["value"]) for each in parts if each["type"] == "image"]
        return {
            "id": index,
            "parts": parts,
            "answer": values.get("answer", ""),
            "options": {name: values[name] for name in _LETTERS if name in values},
            "category": values.get("category", ""),
            "tags": {name: values[name][:_LONGEST] for name in _TAGS if name in values},
            "group": group,
            "number": _row_name(values.get(_NUMBER, index)),
            "counterpart": _row_name(values.get(_COUNTERPART, "")),
            "pictures": _hash_images(images)
            if self.kind == "Y/N"
            else "",  # such sets ask several questions about an image
        }

    def _parts(self, line: Any, index: str) -> list[dict[str, str]]:
        """The message; an invalid one names a missing image, and so becomes a bad sample."""
        try:
            message = self.set.build_prompt(line)
        except Exception as error:  # noqa: BLE001 - a row may hold anything
            fault = f"{type(error).__name__}: {error}"[:_LONGEST]
            return [{"type": "image", "value": f"{_UNREADABLE}{index}.png"}, {"type": "text", "value": fault}]
        return [
            {"type": "image", "value": os.path.relpath(part["value"], self.root)}
            if part["type"] == "image"
            else {"type": "text", "value": str(part["value"])}
            for part in message
        ]


def _dataset_module() -> Any:
    check_installed()
    return importlib.import_module("vlmeval.dataset")


def _stay_offline() -> None:
    """Block all connections of this process from now on."""

    def refuse(*_: object) -> None:
        raise PermissionError("fetching is not allowed here")

    os.environ["HF_HUB_OFFLINE"] = "1"
    socket.socket.connect = refuse  # type: ignore[method-assign]


def _md5(path: Path) -> str:
    total = hashlib.md5()  # noqa: S324 - the published checksum
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            total.update(piece)
    return total.hexdigest()


def _cell_text(value: Any) -> str | None:
    """A cell as text; None if empty."""
    if value is None or isinstance(value, (list, dict)) or value != value:  # NaN
        return None
    return str(value)


def _row_name(value: str) -> str:
    """A row's name as its own row spells it: a column with empty cells turns 12 into 12.0."""
    return value.removesuffix(".0")


def _hash_images(paths: Iterable[str]) -> str:
    """A hash of a row's images; empty if there are none, or one is unreadable."""
    total, seen = hashlib.sha256(), False
    for path in paths:
        try:
            total.update(hashlib.sha256(Path(path).read_bytes()).digest())
        except OSError:
            return ""
        seen = True
    return f"sha256:{total.hexdigest()}" if seen else ""


def _clean_answer(answer: str) -> str:
    """An answer fit for VLMEvalKit's tables: no lone surrogates, no control characters but tab and new line."""
    whole = answer.encode("utf-8", "replace").decode("utf-8")
    return "".join(letter if letter >= " " or letter in "\n\t" else " " for letter in whole)


def _read_hits(folder: Path, answers: Path, name: str) -> dict[str, dict[str, Any]]:
    """Index -> `hit`, and if known `said`, `unparsed` and `log`; empty without results.

    A hit that is no number (NaN, infinity, a text) is None: neither right nor wrong.

    Args:
        folder: folder of VLMEvalKit's results.
        answers: the scored file.
        name: the data set, which decides how several matches of one answer become a hit.
    """
    load = importlib.import_module("vlmeval.smp").load
    for file in sorted(folder.iterdir(), key=lambda path: (path.suffix != ".pkl", path.name)):
        if file == answers or file.suffix not in (".pkl", ".tsv"):
            continue
        found = dict(_read_results(load(str(file)), name))
        if found:
            return found
    return {}


def _read_results(loaded: Any, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if hasattr(loaded, "columns"):
        for row in loaded.to_dict("records") if "index" in loaded else ():
            if "eval_match" in row:
                matches = [{"match": ast.literal_eval(row["eval_match"])}]
                hit = importlib.import_module("vlmeval.dataset.utils.vqa_eval").hit_calculate(matches, name)[0]
                yield str(row["index"]), {"hit": _number(hit), "log": str(row.get("eval_pred"))}
            elif "hit" in row or "score" in row:
                yield str(row["index"]), _read_result({"hit": row.get("hit", row.get("score")), **row})
    elif hasattr(loaded, "items"):  # index -> hit and log
        for index, result in loaded.items():
            if hasattr(result, "items") and "hit" in result:
                yield str(index), _read_result(result)


def _number(hit: Any) -> float | None:
    try:
        found = float(hit)
    except (TypeError, ValueError):
        return None
    return found if math.isfinite(found) else None


def _read_result(found: dict[str, Any]) -> dict[str, Any]:
    log = str(found.get("log", ""))[:_LONGEST_LOG]
    result: dict[str, Any] = {"hit": _number(found["hit"]), "log": log}
    if "extracted" in found:
        said = str(found["extracted"])
        return {**result, "said": "" if said == _UNKNOWN else said.lower(), "unparsed": said == _UNKNOWN}
    return {**result, "unparsed": any(words in log for words in _UNPARSED)}
