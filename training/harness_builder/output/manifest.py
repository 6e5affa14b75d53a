"""`build.json`, which completes a set: how it was built, its content, and every file's sha256.

{"schema": "harness.build/1", "name": "kitchen", "identity": "k1:…", "at": "2026-03-01T12:00:00+00:00", "open": [],
 "plan": {…}, "prompts": {"write": {"sha256": "…", "own": true}}, "models": {"writer": {…}},
 "versions": {"builder": "vlm-safety-harness 0.1.0"}, "environment": {"python": "3.12.0", "torch": "2.9.0"},
 "records": {"mis_easy.json": 120}, "categories": {"mis_easy.json": {"Violent": 30}}, "seeds": 400,
 "ends": {"write": {"kept": 300}}, "stops": {"person": 2}, "balance": {"dropped": [], "missing": {}},
 "spent": [{…}], "licence": {"name": "…", "sources": {…}, "accepted": [], "tests": []},
 "files": {"mis_easy.json": {"bytes": 52133, "sha256": "…"}}}

`own` is true for a template of the package, and false for the user's file. The plan and the models contain no paths and
addresses: these describe a machine and not the set.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal, cast

from harness import BadData, BadImage, Json, MissingData, plugins
from harness.data.downloads import hash_file
from harness.data.provenance import FILE as SOURCE
from harness.data.provenance import Part, Provenance
from harness.files import atomic_write
from harness.http.status import as_list, as_mapping
from harness.readers.files import inside
from harness.runs.environment import environment
from harness_builder.calls.costs import RoleCosts
from harness_builder.calls.results import PAINTER
from harness_builder.licences import OutputLicence
from harness_builder.plan import INSTEAD, ModelChoice, Plan
from harness_builder.prompts import Prompts
from harness_builder.quality import ComparedTest, Contamination, NearDuplicate
from harness_builder.review import Agreed
from harness_builder.tally import Tally
from harness_builder.values import End

from .dataset import WrittenSet
from .folder import IMAGES, MANIFEST, MANIFEST_SCHEMA, REFUSAL, SINGLE, TRAINING, is_set_file

#: replaces a path in JSON; values that begin with it are left out
_PATH: Final = "~"
#: libraries that affect drawings, the choice of photographs and likeness
_LIBRARIES: Final = (
    "diffusers",
    "open_clip_torch",
    "pillow",
    "numpy",
    "opencv-python-headless",
    "imagehash",
    "rensa",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CardData:
    """The content of the card and the manifest of a set.

    Attributes:
        plan: of the build.
        written: the set's records.
        tally: how everything ended.
        licence: of the set.
        prompts: the templates.
        identity: digest of all that determines the set: sources, models, prompts, settings.
        at: when it was finished: ISO 8601 with its zone.
        versions: plugin -> its distribution and version.
        environment: where it ran, from `build_environment`.
        models: role -> identity of its model, as JSON.
        spent: usage of each role in each step, over all invocations of the build.
        near: elements dropped because they nearly equal an earlier record.
        contaminated: elements dropped because they nearly equal an item of a test.
        compared: the data of each test for comparisons.
        worded: kept elements in the words of a test item that names no objects.
        agreed: how far people agree; empty if nobody reviewed the set.
        left: how many photographs, and records of them, ended in each way; empty if none was looked for.
        open: what is left to do, a line each; empty if the set is complete.
    """

    plan: Plan
    written: WrittenSet
    tally: Tally
    licence: OutputLicence
    prompts: Prompts
    identity: str
    at: str
    versions: Mapping[str, str] = field(default_factory=dict[str, str])
    environment: Mapping[str, Json] = field(default_factory=dict[str, Json])
    models: Mapping[str, Json] = field(default_factory=dict[str, Json])
    spent: tuple[RoleCosts, ...] = ()
    near: tuple[NearDuplicate, ...] = ()
    contaminated: tuple[Contamination, ...] = ()
    compared: tuple[ComparedTest, ...] = ()
    worded: tuple[Contamination, ...] = ()
    agreed: tuple[Agreed, ...] = ()
    left: Mapping[tuple[End, str], int] = field(default_factory=dict[tuple[End, str], int])
    open: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The part of build.json that `push` and `verify` need.

    Attributes:
        name: of the set.
        files: path under the folder -> size in bytes and sha256.
        open: what is left to do.
    """

    name: str
    files: Mapping[str, tuple[int, str]]
    open: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A file of a set that differs from its manifest.

    Attributes:
        path: under the set's folder.
        what: it is missing, it has changed, or the manifest does not name it.
    """

    path: str
    what: Literal["missing", "changed", "added"]

    def __str__(self) -> str:
        return f"{self.what}: {self.path}"


def write_manifest(data: CardData) -> None:
    """Write `.source.json`, from which runs and trainings take the name and terms of the data. Then write the manifest
    over all files: the last file of a set."""
    folder, name = data.written.folder, data.plan.name
    files = {
        path: _fingerprint(folder / path)
        for path in _list_files(folder)
        if is_set_file(path) and path not in (MANIFEST, SOURCE)
    }
    # The training data have their own name: who trains on them has not seen the tests.
    train = {path: each for path, each in files.items() if path in TRAINING or path.startswith(f"{REFUSAL.images}/")}
    rest = {path: each for path, each in files.items() if path not in train}
    parts = tuple(
        Part(kind="build", name=called, revision=data.identity, fetched=data.at, files=held)
        for called, held in ((name, rest), (f"{name}-train", train))
        if held
    )
    Provenance(task="mis", licence=data.licence.summary, parts=parts).write(folder)
    files[SOURCE] = _fingerprint(folder / SOURCE)
    listed = {path: {"bytes": size, "sha256": sha256} for path, (size, sha256) in sorted(files.items())}
    written, tally, prompts = data.written, data.tally, data.prompts
    ends: dict[str, dict[str, int]] = {}
    for (step, end), count in tally.ends.items():
        ends.setdefault(step, {})[end] = count
    categories: dict[str, Counter[str]] = {}
    for entry in written.entries:
        categories.setdefault(entry.file, Counter())[entry.category] += 1
    value: dict[str, Json] = {
        "schema": MANIFEST_SCHEMA,
        "name": data.plan.name,
        "identity": data.identity,
        "at": data.at,
        "open": list(data.open),
        "plan": plan_json(data.plan),
        "prompts": {name: {"sha256": sha256, "own": name in prompts.own} for name, sha256 in prompts.hashes.items()},
        "models": strip_machine(dict(data.models)),
        "versions": dict(data.versions),
        "environment": dict(data.environment),
        "records": dict(written.records),
        "categories": categories,
        "seeds": tally.seeds,
        "ends": ends,
        "stops": count_stops(tally),
        "balance": {"dropped": list(written.dropped), "missing": dict(written.missing)},
        "spent": [asdict(each) for each in data.spent],
        "licence": asdict(data.licence),
        "files": listed,
    }
    atomic_write(folder / MANIFEST, f"{json.dumps(value, ensure_ascii=False, indent=1)}\n")


def count_stops(tally: Tally) -> Counter[str]:
    """Kind of hard stop -> how many seeds and elements it ended."""
    stops = Counter[str]()
    for (_, end, why), count in tally.whys.items():
        if end == "stopped":
            stops[why] += count
    return stops


def read_manifest(folder: Path) -> Manifest:
    """The folder's manifest.

    Raises:
        MissingData: there is none.
        BadData: it is not ours, or names a file outside the set.
    """
    path = folder / MANIFEST
    try:
        raw: Any = json.loads(path.read_text(encoding="utf-8"))
        if raw["schema"] != MANIFEST_SCHEMA:
            raise ValueError(f"its schema is {raw['schema']!r}")
        files: dict[str, tuple[int, str]] = {}
        for name, entry in cast("dict[str, Any]", raw["files"]).items():
            if inside(name) != name or not is_set_file(name):
                raise ValueError(f"this is not a file of a set: {name}")
            files[name] = (int(entry["bytes"]), str(entry["sha256"]))
        return Manifest(name=str(raw["name"]), files=files, open=tuple(str(each) for each in raw["open"]))
    except (FileNotFoundError, NotADirectoryError):
        what = f"{MANIFEST} is missing: this is no finished set"
        remedy = "harness build mis --config FILE --out DIR  writes it when the set is whole"
        raise MissingData(what, where=str(folder), remedy=remedy) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, BadImage) as error:
        what = f"the manifest of the set cannot be read: {type(error).__name__}: {error}"
        raise BadData(what, where=str(path), remedy="build the set again: finished calls are not repeated") from None


def verify(folder: Path) -> list[Difference]:
    """Files of a set that differ from its manifest, by path. Raises MissingData or BadData if the manifest is missing
    or cannot be read."""
    listed, there = read_manifest(folder).files, set(_list_files(folder))
    found = [Difference(path=path, what="missing") for path in listed if path not in there]
    found += [
        Difference(path=path, what="changed")
        for path, entry in listed.items()
        if path in there and _fingerprint(folder / path) != entry
    ]
    links = {path.relative_to(folder).as_posix() for path in _walk(folder) if path.is_symlink()}
    # Foreign files that are not hidden.
    others = {each.name for each in folder.iterdir() if not each.name.startswith(".") and not each.is_dir()}
    unlisted = (there | links | others) - {MANIFEST, *listed}
    return sorted([*found, *(Difference(path=path, what="added") for path in unlisted)], key=lambda each: each.path)


def _list_files(folder: Path) -> Iterator[str]:
    """Every file under the names of a set, without links."""
    for path in _walk(folder):
        if path.is_file() and not path.is_symlink():
            yield path.relative_to(folder).as_posix()


def _walk(folder: Path) -> Iterator[Path]:
    yield from (folder / name for name in SINGLE)
    for name in IMAGES:
        yield from sorted((folder / name).rglob("*"))


def _fingerprint(path: Path) -> tuple[int, str]:
    return path.stat().st_size, hash_file(path)[0]


def read_models(folder: Path) -> dict[str, str]:
    """Role -> its model in the manifest's plan; empty if there is no manifest."""
    plan = as_mapping(_read_lenient(folder).get("plan"))
    named = {role: str(as_mapping(each).get("ref", "")) for role, each in as_mapping(plan.get("models")).items()}
    stand_ins = {str(role): named.get(other, "") for role, other in INSTEAD.items()}
    return {**stand_ins, **named, PAINTER: str(as_mapping(plan.get("painter")).get("ref", ""))}


def read_counts(folder: Path) -> dict[str, int]:
    """File -> its number of records in the folder's set; empty if there is none."""
    records = as_mapping(_read_lenient(folder).get("records"))
    return {file: number for file, number in records.items() if isinstance(number, int)}


def _read_lenient(folder: Path) -> Mapping[str, Json]:
    """The raw manifest; empty if it cannot be read."""
    try:
        return as_mapping(json.loads((folder / MANIFEST).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def describe_fewer(before: Mapping[str, int], data: CardData) -> Iterator[str]:
    """A line if the set holds fewer records than `before`, because some wait for people."""
    now = data.written.records
    less = [
        f"{file} {now.get(file, 0):,} of {number:,}" for file, number in before.items() if now.get(file, 0) < number
    ]
    if less and any(number for (_, end), number in data.tally.ends.items() if end == "waiting"):
        yield f"until people have decided, the set holds fewer records than before: {', '.join(less)}"


def build_environment() -> dict[str, Json]:
    """Python, platform, devices and libraries, under the names that a run records; null for missing ones."""
    return environment(also=_LIBRARIES)


def portable_plan(plan: Plan) -> Plan:
    """The machine-independent plan: a model that is a folder or a file has only its name. The model's identity covers
    its content."""
    host = plugins.current()

    def named(wanted: ModelChoice, *, local: bool) -> ModelChoice:
        scheme, _, name = wanted.ref.partition("/")
        folder = Path(name).expanduser()
        return replace(wanted, ref=f"{scheme}/{folder.absolute().name}") if local and folder.is_dir() else wanted

    models = {
        role: named(wanted, local=host.provider(wanted.ref.partition("/")[0]).local)
        for role, wanted in plan.models.items()
    }
    painter = named(plan.painter, local=host.painter(plan.painter.ref.partition("/")[0]).local)
    photos = plan.photos
    if photos is not None:
        arch, _, weights = photos.model.partition(":")
        if Path(weights).is_file():
            photos = replace(photos, model=f"{arch}:{Path(weights).name}")
    return replace(plan, models=models, painter=painter, photos=photos)


def plan_json(plan: Plan) -> dict[str, Json]:
    """A plan as JSON, without paths and addresses."""
    whole = json.loads(json.dumps(asdict(plan), default=lambda _path: _PATH))
    return {name: strip_machine(value) for name, value in as_mapping(whole).items() if not _is_local(value)}


def strip_machine(value: Json) -> Json:
    """A value without paths and addresses, which depend on the machine."""
    if isinstance(value, list):
        return [strip_machine(each) for each in as_list(value) if not _is_local(each)]
    if isinstance(value, Mapping):
        return {name: strip_machine(each) for name, each in as_mapping(value).items() if not _is_local(each)}
    return value


def _is_local(value: Json) -> bool:
    return isinstance(value, str) and (value.startswith(("/", _PATH)) or "://" in value)
