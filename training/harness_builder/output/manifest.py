"""`build.json`, which completes a set: what it was built by, what it holds, and every file's sha256.

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

#: stands for a path in JSON; a value that begins with it is left out
_PATH: Final = "~"
#: libraries that decide what is drawn, which photographs are taken and what counts as alike
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
    """All that the card and the manifest say of a set.

    Attributes:
        plan: it was built by.
        written: its records.
        tally: how everything ended.
        licence: of the set.
        prompts: templates that were used.
        identity: digest of what decides what the set holds: sources, models, prompts, settings.
        at: when it was finished: ISO 8601 with its zone.
        versions: plugin -> the distribution that it came with, and its version.
        environment: what it ran on, from `build_environment`.
        models: role -> identity of its model, as JSON.
        spent: what each role took in each step, over all invocations of the build.
        near: elements that were dropped for nearly equalling an earlier record.
        contaminated: elements that were dropped for nearly equalling an item of a test.
        compared: what each test has to compare with.
        worded: elements that ask, in words of a test, of objects that the test does not name.
        agreed: how far people agree; empty where nobody looked at the set.
        left: how many photographs, and records of them, ended so and why; empty where none was looked for.
        open: what is left to do, a line each; empty where the set is complete.
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
    """What `push` and `verify` need of a build.json.

    Attributes:
        name: of the set.
        files: path under the folder -> size in bytes and sha256.
        open: what is still to be done.
    """

    name: str
    files: Mapping[str, tuple[int, str]]
    open: tuple[str, ...]


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


def write_manifest(data: CardData) -> None:
    """Write `.source.json`, by which runs and trainings say what they read and under which terms, and then the manifest
    over all files: the last file of a set."""
    folder, name = data.written.folder, data.plan.name
    files = {
        path: _fingerprint(folder / path)
        for path in _list_files(folder)
        if is_set_file(path) and path not in (MANIFEST, SOURCE)
    }
    # The set under its name, and what is there to train on apart: who trains on it has not seen the tests.
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
    """Kind of hard stop -> how many things it ended."""
    stops = Counter[str]()
    for (_, end, why), count in tally.whys.items():
        if end == "stopped":
            stops[why] += count
    return stops


def read_manifest(folder: Path) -> Manifest:
    """The folder's manifest.

    Raises:
        MissingData: there is none.
        BadData: it is not one of ours, or names a file outside the set.
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
        what = f"{MANIFEST} is not there: this is no finished set"
        remedy = "harness build mis --config FILE --out DIR  writes it when the set is whole"
        raise MissingData(what, where=str(folder), remedy=remedy) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, BadImage) as error:
        what = f"the manifest of the set cannot be read: {type(error).__name__}: {error}"
        raise BadData(what, where=str(path), remedy="build the set again: finished calls are not repeated") from None


def verify(folder: Path) -> list[Difference]:
    """What of a set is not as its manifest says, by path. Raises MissingData or BadData if the manifest is not there,
    or cannot be read."""
    listed, there = read_manifest(folder).files, set(_list_files(folder))
    found = [Difference(path=path, what="missing") for path in listed if path not in there]
    found += [
        Difference(path=path, what="changed")
        for path, entry in listed.items()
        if path in there and _fingerprint(folder / path) != entry
    ]
    links = {path.relative_to(folder).as_posix() for path in _walk(folder) if path.is_symlink()}
    # What somebody put next to the set's own files, and did not hide.
    others = {each.name for each in folder.iterdir() if not each.name.startswith(".") and not each.is_dir()}
    unlisted = (there | links | others) - {MANIFEST, *listed}
    return sorted([*found, *(Difference(path=path, what="added") for path in unlisted)], key=lambda each: each.path)


def _list_files(folder: Path) -> Iterator[str]:
    """Every file under the names of a set; a link does not count, wherever it leads."""
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
    """Role -> the model that the manifest's plan names for it; empty where there is no manifest."""
    plan = as_mapping(_read_lenient(folder).get("plan"))
    named = {role: str(as_mapping(each).get("ref", "")) for role, each in as_mapping(plan.get("models")).items()}
    stand_ins = {str(role): named.get(other, "") for role, other in INSTEAD.items()}
    return {**stand_ins, **named, PAINTER: str(as_mapping(plan.get("painter")).get("ref", ""))}


def read_counts(folder: Path) -> dict[str, int]:
    """File -> how many records it has in the set that lies in the folder; empty where none does."""
    records = as_mapping(_read_lenient(folder).get("records"))
    return {file: number for file, number in records.items() if isinstance(number, int)}


def _read_lenient(folder: Path) -> Mapping[str, Json]:
    """The manifest as it is; empty where it cannot be read."""
    try:
        return as_mapping(json.loads((folder / MANIFEST).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def describe_fewer(before: Mapping[str, int], data: CardData) -> Iterator[str]:
    """A line where the set holds fewer records than `before`, because people have still to decide on some."""
    now = data.written.records
    less = [
        f"{file} {now.get(file, 0):,} of {number:,}" for file, number in before.items() if now.get(file, 0) < number
    ]
    if less and any(number for (_, end), number in data.tally.ends.items() if end == "waiting"):
        yield f"until people have decided, the set holds fewer records than it did: {', '.join(less)}"


def build_environment() -> dict[str, Json]:
    """Python, platform, devices and libraries, under the names that a run records; null for what is not there."""
    return environment(also=_LIBRARIES)


def portable_plan(plan: Plan) -> Plan:
    """The plan as it is the same on every machine: of a model that is a folder or a file its name alone. The model's
    identity says what is in it."""
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
    """A value without paths and addresses, which say something of a machine."""
    if isinstance(value, list):
        return [strip_machine(each) for each in as_list(value) if not _is_local(each)]
    if isinstance(value, Mapping):
        return {name: strip_machine(each) for name, each in as_mapping(value).items() if not _is_local(each)}
    return value


def _is_local(value: Json) -> bool:
    return isinstance(value, str) and (value.startswith(("/", _PATH)) or "://" in value)
