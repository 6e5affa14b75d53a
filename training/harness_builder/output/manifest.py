"""`build.json`, which makes a set whole: what it was built by, what it holds, and every file's sha256.

{"schema": "harness.build/1", "name": "kitchen", "identity": "k1:…", "at": "2026-03-01T12:00:00+00:00", "open": [],
 "plan": {…}, "prompts": {"write": {"sha256": "…", "own": true}}, "models": {"writer": {…}},
 "versions": {"builder": "vlm-safety-harness 0.1.0"}, "environment": {"python": "3.12.0", "torch": "2.9.0"},
 "records": {"mis_easy.json": 120}, "categories": {"mis_easy.json": {"Violent": 30}}, "seeds": 400,
 "ends": {"write": {"kept": 300}}, "stops": {"person": 2}, "balance": {"dropped": [], "missing": {}},
 "spent": [{…}], "licence": {"name": "…", "sources": {…}, "accepted": [], "tests": []},
 "files": {"mis_easy.json": {"bytes": 52133, "sha256": "…"}}}

`own` is true of a template of the package's own, and false of a file that the user put in its place. Paths and
addresses are left out of the plan and of the models: they say something of a machine and nothing of the set.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal, cast

from harness import BadData, BadImage, Json, MissingData
from harness.data.downloads import digests
from harness.data.provenance import FILE as SOURCE
from harness.data.provenance import Part, Provenance
from harness.http.status import as_list, as_mapping
from harness.readers.files import inside
from harness.store.journal import replace
from harness_builder.calls.results import PAINTER
from harness_builder.plan import INSTEAD, Plan

from .layout import IMAGES, MANIFEST, REFUSAL, SINGLE, TRAINING, ours
from .owning import SCHEMA
from .terms import terms_line
from .values import Facts

_PATH: Final = "~"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A file of a set that is not as its manifest says.

    Attributes:
        path: under the set's folder.
        what: it is gone, it holds something else, or the manifest does not know it.
    """

    path: str
    what: Literal["missing", "changed", "added"]

    def __str__(self) -> str:
        return f"{self.what}: {self.path}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What `push` and `verify` need of a build.json.

    Attributes:
        name: of the set.
        files: path under the folder -> size in bytes and sha256.
        open: what is still to be done.
    """

    name: str
    files: Mapping[str, tuple[int, str]]
    open: tuple[str, ...]


def write_manifest(facts: Facts) -> None:
    """Write `.source.json`, by which runs and trainings say what they read and under which terms, and then the manifest
    over all that lies there; the last file of a set."""
    folder = facts.written.folder
    found = {path: _entry(folder / path) for path in _files(folder) if ours(path) and path not in (MANIFEST, SOURCE)}
    Provenance(task="mis", licence=terms_line(facts.licence), parts=tuple(_parts(facts, found))).write(folder)
    found[SOURCE] = _entry(folder / SOURCE)
    files = {path: {"bytes": size, "sha256": sha256} for path, (size, sha256) in sorted(found.items())}
    text = json.dumps(_told(facts) | {"files": files}, ensure_ascii=False, indent=1)
    replace(folder / MANIFEST, f"{text}\n")


def _parts(facts: Facts, files: Mapping[str, tuple[int, str]]) -> Iterator[Part]:
    """The set under its name, and what is there to train on apart: who trains on it has not seen the tests."""
    name = facts.plan.name
    train = {path: entry for path, entry in files.items() if path in TRAINING or path.startswith(f"{REFUSAL.images}/")}
    rest = {path: entry for path, entry in files.items() if path not in train}
    for called, held in ((name, rest), (f"{name}-train", train)):
        if held:
            yield Part(kind="build", name=called, revision=facts.identity, fetched=facts.at, files=held)


def read_manifest(folder: Path) -> Manifest:
    """What the folder's manifest says.

    Raises:
        MissingData: there is none.
        BadData: it is none of ours, or names a file outside the set.
    """
    path = folder / MANIFEST
    try:
        return _read(json.loads(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, NotADirectoryError):
        what = f"{MANIFEST} is not there: this is no finished set"
        remedy = "harness build mis --config FILE --out DIR  writes it when the set is whole"
        raise MissingData(what, where=str(folder), remedy=remedy) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, BadImage) as error:
        what = f"the manifest of the set cannot be read: {type(error).__name__}: {error}"
        raise BadData(what, where=str(path), remedy="build the set again: finished calls are not repeated") from None


def _read(raw: Any) -> Manifest:
    if raw["schema"] != SCHEMA:
        raise ValueError(f"its schema is {raw['schema']!r}")
    files = cast("dict[str, Any]", raw["files"]).items()
    return Manifest(
        name=str(raw["name"]),
        files={_inside(path): (int(entry["bytes"]), str(entry["sha256"])) for path, entry in files},
        open=tuple(str(each) for each in raw["open"]),
    )


def roles(folder: Path) -> dict[str, str]:
    """Role -> the model that the plan names for it, as the manifest has it; nothing where there is none."""
    try:
        plan = as_mapping(as_mapping(json.loads((folder / MANIFEST).read_text(encoding="utf-8"))).get("plan"))
    except (OSError, ValueError):
        return {}
    named = {role: str(as_mapping(each).get("ref", "")) for role, each in as_mapping(plan.get("models")).items()}
    stand_ins = {str(role): named.get(other, "") for role, other in INSTEAD.items()}
    return {**stand_ins, **named, PAINTER: str(as_mapping(plan.get("painter")).get("ref", ""))}


def verify(folder: Path) -> list[Difference]:
    """What of a set is not as its manifest says, by path.

    Raises:
        MissingData, BadData: the manifest is not there, or cannot be read.
    """
    said, there = read_manifest(folder).files, set(_files(folder))
    found = [Difference(path=path, what="missing") for path in said if path not in there]
    found += [
        Difference(path=path, what="changed")
        for path, entry in said.items()
        if path in there and _entry(folder / path) != entry
    ]
    others = {*there, *_links(folder), *_beside(folder)} - {MANIFEST}
    found += [Difference(path=path, what="added") for path in others if path not in said]
    return sorted(found, key=lambda difference: difference.path)


def _inside(path: str) -> str:
    if inside(path) != path or not ours(path):
        raise ValueError(f"no file of a set: {path}")
    return path


def _files(folder: Path) -> Iterator[str]:
    """Every file under the names of a set; a link is none, wherever it leads."""
    return (path.relative_to(folder).as_posix() for path in _under(folder) if path.is_file() and not path.is_symlink())


def _links(folder: Path) -> Iterator[str]:
    return (path.relative_to(folder).as_posix() for path in _under(folder) if path.is_symlink())


def _under(folder: Path) -> Iterator[Path]:
    yield from (folder / name for name in SINGLE)
    for name in IMAGES:
        yield from sorted((folder / name).rglob("*"))


def _beside(folder: Path) -> Iterator[str]:
    """What somebody put beside the set's own, and did not hide."""
    return (each.name for each in folder.iterdir() if not each.name.startswith(".") and not each.is_dir())


def _entry(path: Path) -> tuple[int, str]:
    return path.stat().st_size, digests(path)[0]


def _told(facts: Facts) -> dict[str, Json]:
    written, tally, licence = facts.written, facts.tally, facts.licence
    stops = Counter[str]()
    for (_, end, why), count in tally.whys.items():
        if end == "stopped":
            stops[why] += count
    ends: dict[str, dict[str, int]] = {}
    for (step, end), count in tally.ends.items():
        ends.setdefault(step, {})[end] = count
    categories: dict[str, Counter[str]] = {}
    for entry in written.entries:
        categories.setdefault(entry.file, Counter())[entry.category] += 1
    return {
        "schema": SCHEMA,
        "name": facts.plan.name,
        "identity": facts.identity,
        "at": facts.at,
        "open": list(facts.open),
        "plan": planned(facts.plan),
        "prompts": {
            name: {"sha256": sha256, "own": name in facts.prompts.own} for name, sha256 in facts.prompts.hashes.items()
        },
        "models": public(dict(facts.models)),
        "versions": dict(facts.versions),
        "environment": dict(facts.environment),
        "records": dict(written.records),
        "categories": categories,
        "seeds": tally.seeds,
        "ends": ends,
        "stops": stops,
        "balance": {"dropped": list(written.dropped), "missing": dict(written.missing)},
        "spent": [asdict(each) for each in facts.spent],
        "licence": asdict(licence),
    }


def planned(plan: Plan) -> dict[str, Json]:
    """A plan as JSON, without what tells of the machine: paths and addresses."""
    whole = json.loads(json.dumps(asdict(plan), default=lambda _path: _PATH))
    return {name: public(value) for name, value in as_mapping(whole).items() if not _of_the_machine(value)}


def public(value: Json) -> Json:
    """A value without what tells of the machine."""
    if isinstance(value, list):
        return [public(each) for each in as_list(value) if not _of_the_machine(each)]
    if isinstance(value, Mapping):
        return {name: public(each) for name, each in as_mapping(value).items() if not _of_the_machine(each)}
    return value


def _of_the_machine(value: Json) -> bool:
    return isinstance(value, str) and (value.startswith(("/", _PATH)) or "://" in value)
