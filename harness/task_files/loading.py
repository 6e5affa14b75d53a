"""A task file becomes a Task: its identity, its splits, its rubric and where its data is from.

    task = load_task(Path("kitchen.yaml"))

The name is the file's. The version holds a hash of what the file says and of the templates beside it, so a changed file
is another task: a run folder of the earlier one is refused, and no comparison takes the two for one. A run keeps the
text of the file and of its templates (`Task.file`), so a stored run is read by the file it was made with.

A task file comes from somewhere, perhaps from a stranger: what it names stays in its folder, and its templates are
filled in by the sandbox of judges' templates.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, cast

from harness.contracts import DataSource, Judge, Paper, Split, Task
from harness.errors import BadImage, HarnessError
from harness.keys import digest, text_hash
from harness.labels import find_misfits
from harness.metrics import Metric, rate
from harness.readers import inside
from harness.settings import nearest
from harness.task_files import samples
from harness.task_files.judging import MATCHED, RIGHT, build_judge, build_match
from harness.task_files.layouts import KNOWN
from harness.task_files.samples import ImageSource, Reading, SplitSource
from harness.task_files.schema import check_schema
from harness.task_files.words import Words, compile_template, compile_words, is_template
from harness.types import Generation, Json, Settings, Verdict
from harness.usual import (
    HARM_JUDGES,
    REFUSAL_RULE,
    Judges,
    attack,
    comparison,
    find_losses,
    over_refusal,
    right_answers,
)
from harness.yaml_files import Place, YamlText, parse_yaml

ENDINGS: Final = (".yaml", ".yml")
NAME: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")  #: as names of plugins' tasks
ONE: Final = "test"  #: the split of a task file that names none
UNCHECKED: Final = "its records are files of your own, which no commit names"
UNPINNED: Final = "the task file names no revision"
_ANSWERED: Final = ("choice", "yes-no", *MATCHED)  # kinds that compare with a right answer
_SCORING: Final = ("kind", "group", "judges", "metrics", "labels", "blocked_as", "empty_as")
_DEFAULTS: Final[Mapping[str, Judges]] = {
    "attack": HARM_JUDGES,
    "over-refusal": REFUSAL_RULE,
    "choice": {"choice": {}},
    "yes-no": {"yesno": {}},
    **{kind: {} for kind in MATCHED},
    "comparison": {"pairwise": {}},
}

_KIND_SPLITS: Final[Mapping[str, Callable[[Judges], Split]]] = {
    "attack": attack,
    "over-refusal": over_refusal,
    "choice": right_answers,
    "yes-no": right_answers,
    **dict.fromkeys(MATCHED, right_answers),
    "comparison": comparison,
}


def is_task_path(name: str) -> bool:
    """Whether a name of `--tasks` is a path: a task file, perhaps with a split, or a folder of them."""
    path = split_name(name)[0]
    return path.endswith(ENDINGS) or "/" in path


def split_name(name: str) -> tuple[str, str]:
    """`NAME:SPLIT` or `FILE.yaml:SPLIT` as task and split; the split may be empty."""
    head, colon, tail = name.rpartition(":")
    if colon and head.endswith(ENDINGS):
        return head, tail
    task, _, split = name.partition(":")
    if name.endswith(ENDINGS) or "/" in task:
        return name, ""
    return task, split


def drop_path(name: str) -> str:
    """`FILE.yaml:SPLIT` as a stored run calls it, `NAME:SPLIT`; other names stay."""
    path, split = split_name(name)
    if not path.endswith(ENDINGS):
        return name
    return f"{Path(path).stem}:{split}" if split else Path(path).stem


def expand_folders(names: Iterable[str]) -> Iterator[str]:
    """The names, with each folder's task files in its place. Raises HarnessError for a folder without any."""
    for name in names:
        path, _ = split_name(name)
        if not is_task_path(name) or path.endswith(ENDINGS):
            yield name
            continue
        folder = Path(path).expanduser()
        if not folder.is_dir():
            raise HarnessError(
                "there is no such folder of task files", where=path, remedy="a task file's name ends with .yaml"
            )
        found = sorted(each for each in folder.iterdir() if each.suffix in ENDINGS and each.is_file())
        if not found:
            raise HarnessError("the folder holds no task file", where=path, remedy="its files end with .yaml")
        yield from map(str, found)


def check_name(path: Path) -> None:
    """Raise HarnessError for a file whose name cannot be a task's."""
    if not NAME.fullmatch(path.stem):
        what = f"a task file has its task's name, and {path.stem!r} cannot name a task"
        raise HarnessError(what, where=str(path), remedy="use small letters, digits, _ and - in the file's name")


def load_task(path: Path | str) -> Task:
    """The task of a task file. A plugin offers one by `return [harness.load_task(PATH)]` in `harness_tasks`.

    Raises:
        HarnessError: the file, or one beside it, is missing or wrong; the message names file, line and key.
    """
    return TaskFile.read(Path(path).expanduser()).build()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Template:
    """The text of a template beside the file (`harness.rubric.templates.TemplateFile`)."""

    text: str
    place: str

    def read_text(self, encoding: str) -> str:  # noqa: ARG002 - as a Path's
        return self.text

    def __str__(self) -> str:
        return self.place


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFile:
    """A task file and the templates beside it, checked against the schema.

    Attributes:
        path: of the file; its folder is the data root of what is not fetched.
        yaml: its content, and where each value stands.
        text: as the file has it.
        values: its content.
        templates: name -> text.
        known_version: of the file that this one was reduced from (`redact`); empty for a whole one.
        known_words: hash of that file's own words.
    """

    path: Path
    yaml: YamlText
    text: str
    values: Mapping[str, Any]
    templates: Mapping[str, str]
    known_version: str = ""
    known_words: str = ""

    @staticmethod
    def read(path: Path) -> TaskFile:
        """Read a file and its templates. Raises HarnessError."""
        return TaskFile._parse(path, _read_text(path, "a task file"), None)

    @staticmethod
    def restore(stored: Mapping[str, Json]) -> TaskFile:
        """A file as a run kept it (`Task.file`); what is there now is not read. Raises HarnessError."""
        texts = {str(name): str(text) for name, text in cast("Mapping[str, Json]", stored["templates"]).items()}
        found = TaskFile._parse(Path(str(stored["path"])), str(stored["text"]), texts)
        version, words = (str(stored.get(key, "")) for key in ("version", "template_hash"))
        return replace(found, known_version=version, known_words=words)

    @staticmethod
    def _parse(path: Path, text: str, texts: Mapping[str, str] | None) -> TaskFile:
        check_name(path)
        yaml = parse_yaml(text, str(path), "a task file")
        values = check_schema(yaml)
        named = list(_find_templates(values))
        if texts is None:
            texts = {name: _read_beside(path, name, yaml.find(place)) for place, name in named}
        return TaskFile(path=path, yaml=yaml, text=text, values=values, templates=texts)

    @property
    def name(self) -> str:
        """The task's name."""
        return self.path.stem

    @property
    def version(self) -> str:
        """The file's own version, and a hash of all it says."""
        if self.known_version:
            return self.known_version
        whole = digest({"file": self.values, "templates": dict(self.templates)})
        return f"{self.values.get('version', '1')}+{whole.partition(':')[2][:12]}"

    def redact(self) -> dict[str, Json]:
        """What a run without texts keeps: enough to score its lines, and nothing of what is asked or where it lies."""
        import yaml

        values = self.values
        kind, reading = self._find_kind(), self._build_reading(self.values["data"].get("layout", "table"))
        kept: dict[str, Any] = {
            "description": "redacted",
            "data": {"files": "redacted.csv"},
            "question": "question",
            **{key: values[key] for key in (*_SCORING, "by", "version") if key in values},
            **{key: key for key in ("category", "cluster") if key in values},
        }
        if tags := _mapping(values.get("tags")) or dict.fromkeys(_items(values.get("tags"))):
            kept["tags"] = dict.fromkeys(tags, "tag")
        kept |= {"images": "image"} if reading.images else {}
        kept |= {"answer": "answer"} if kind in _ANSWERED else {}
        kept |= {"choices": ["A", "B"]} if kind == "choice" else {}
        kept |= {"n": values["n"]} if "n" in values else {}
        if "splits" in values:
            own = ("n", "selected", *_SCORING)
            splits = {name: said for name, (_, said, _) in self._list_splits().items()}
            kept["splits"] = {name: {key: said[key] for key in own if key in said} for name, said in splits.items()}
        templates: dict[str, Json] = {}
        if rubric := _mapping(values.get("rubric")):
            labels: list[str] = list(rubric["labels"])
            kept["rubric"] = {"template": "redacted.j2", "labels": labels}
            kept["rubric"] |= {"map": rubric["map"]} if "map" in rubric else {}
            templates = {"redacted.j2": "{{ answer }}"}
        dumped: str = yaml.safe_dump(kept, sort_keys=False)  # pyright: ignore[reportUnknownMemberType]
        told = {"version": self.version, "template_hash": self._hash_own_words(reading)}
        return {"path": self.path.name, "text": dumped, "templates": templates, **told}

    def build(self) -> Task:
        """The task. Raises HarnessError with file, line and key."""
        values, data = self.values, self.values["data"]
        layout = data.get("layout", "table")
        reading = self._build_reading(layout)
        judge = self._build_judge(reading)
        sources, splits = dict[str, SplitSource](), dict[str, Split]()
        for name, (place, own, source) in self._list_splits().items():
            if not NAME.fullmatch(name):
                what = f"{name!r} cannot name a split"
                raise HarnessError(what, where=self.yaml.find(place), remedy="use small letters, digits, _ and -")
            sources[name] = source
            splits[name] = self._build_split(own, place, reading, judge)
        published = values.get("published")

        def list_samples(root: Path, split: str, _settings: Settings) -> Iterator[Any]:
            return samples.list_samples(reading, root, split, sources[split])

        return Task(
            name=self.name,
            version=self.version,
            description=values["description"],
            splits=splits,
            samples=list_samples,
            source=self._build_source(),
            paper=self._build_paper(),
            published=self.path.parent / _stay_inside(published, self.yaml, ("published",)) if published else None,
            folder=None if data.get("hub") else self.path.absolute().parent,
            file={"path": str(self.path.absolute()), "text": self.text, "templates": dict(self.templates)},
            rubrics=(judge,) if judge else (),
        )

    def _build_reading(self, layout: str) -> Reading:
        values, yaml = self.values, self.yaml
        defaults = KNOWN[layout].defaults
        given: dict[str, Any] = {**defaults, **values}
        if "question" not in given:
            raise HarnessError("a task file needs question", where=yaml.find(()), remedy="name the column of the text")
        kind = self._find_kind()
        tags = _mapping(given.get("tags", {})) or {tag: tag for tag in _items(given.get("tags"))}
        target = given.get("target", {})
        if isinstance(target, str):
            target = {"reference" if kind == "comparison" else "target": target}
        by = given.get("by", ())
        for number, each in enumerate(by):
            known = (*tags, *(("category",) if "category" in given else ()))
            if each not in known:
                what = f"by names {each!r}, which is neither category nor a tag of this file"
                raise HarnessError(what, where=yaml.find(("by", number)), remedy=nearest(each, known))
        answer = given.get("answer", "")
        if "answer" not in values and kind not in _ANSWERED:
            answer = ""
        if kind in _ANSWERED and not answer:
            remedy = "write answer: the column of the right one"
            raise HarnessError(f"the kind {kind} needs an answer", where=yaml.find(("kind",)), remedy=remedy)
        choices = given.get("choices")
        fixed = _items(_mapping(choices).get("texts"))
        if kind == "choice" and not choices and layout != "vlmevalkit":
            remedy = "write choices: the columns of the options"
            raise HarnessError("the kind choice needs choices", where=yaml.find(("kind",)), remedy=remedy)
        return Reading(
            yaml=yaml,
            task=self.name,
            layout=layout,
            question=self._build_words(given["question"], ("question",)),
            system=self._build_words(given["system"], ("system",)) if "system" in given else None,
            images=tuple(self._list_images(given.get("images"))),
            order=given.get("order", "images first"),
            identity=given.get("id", ""),
            category=given.get("category", ""),
            cluster=given.get("cluster", ""),
            tags=tags,
            target={
                key: compile_words(
                    text, yaml.find(("target", key) if key in _mapping(values.get("target")) else ("target",))
                )
                for key, text in target.items()
            },
            choices=tuple(
                compile_words(each, yaml.find(("choices",)))
                for each in (() if fixed or not choices else _list(choices))
            ),
            options=fixed,
            answer=compile_words(answer, yaml.find(("answer",))) if answer else None,
            yes_no=kind == "yes-no",
            matched=kind in MATCHED,
            checked=values["data"].get("images", "checked") == "checked",
            hub=bool(values["data"].get("hub")),
            implied=frozenset(defaults.keys() - values.keys()),
        )

    def _find_kind(self) -> str:
        """The kind of the file, or of all its splits that name one."""
        splits: dict[str, Any] = self.values.get("splits", {})
        named = _mapping(splits.get("values")) if isinstance(splits.get("column"), str) else splits
        own: list[str] = [each.get("kind", "") for each in named.values() if each]
        kinds = [each for each in dict.fromkeys((self.values.get("kind", ""), *own)) if each]
        odd = [kind for kind in kinds if kind in _ANSWERED or kind == "comparison"]
        if odd and len(kinds) > 1:
            what = f"the splits are of the kinds {', '.join(kinds)}, whose answers are read in different ways"
            raise HarnessError(what, where=self.yaml.find(("splits",)), remedy="write two task files")
        return next(iter(kinds), "")

    def _build_words(self, given: Any, place: Place) -> Words:
        if isinstance(given, dict):
            file = cast("dict[str, str]", given)["file"]
            return compile_template(self.templates[file], f"{self.path.parent / file}")
        return compile_words(given, self.yaml.find(place))

    def _list_images(self, given: Any) -> Iterator[ImageSource]:
        for number, each in enumerate(_list(given) if given else ()):
            place: Place = ("images", number) if isinstance(given, list) else ("images",)
            more = _mapping(each) or {"column": each}
            column: str = more["column"]
            words = compile_words(column, self.yaml.find(place))
            folder = more.get("folder", "")
            if folder:
                _stay_inside(folder, self.yaml, (*place, "folder"))
            base64 = more.get("as") == "base64"
            if base64 and is_template(column):
                raise HarnessError(
                    "a template is a path, not base64", where=self.yaml.find(place), remedy="name a column"
                )
            yield ImageSource(
                words=words,
                base64=base64,
                folder=folder,
                suffix=more.get("suffix", ""),
                optional=more.get("optional", False),
                listed=more.get("list", False),
                place=place,
            )

    def _list_splits(self) -> dict[str, tuple[Place, dict[str, Any], SplitSource]]:
        """Name -> where it stands, what it says, and its records."""
        files = _list(self.values["data"]["files"])
        top = {key: self.values[key] for key in ("n",) if key in self.values}
        splits: Any = self.values.get("splits")
        if splits is None:
            return {ONE: ((), top, SplitSource(files=files))}
        if top:
            where = self.yaml.find(("n",))
            raise HarnessError("n is of the whole file, which has splits", where=where, remedy="write n in each split")
        found: dict[str, tuple[Place, dict[str, Any], SplitSource]] = {}
        column = splits.get("column") if isinstance(splits.get("column"), str) else ""
        named: Any = splits["values"] if column else splits
        known = frozenset(named) if column and splits.get("others", "refused") == "refused" else None
        for name in named:
            place: Place = ("splits", "values", name) if column else ("splits", name)
            own = _mapping(_mapping(named).get(name))
            wanted: dict[str, Any] = own.get("where", {})
            values = {key: tuple(map(_to_text, _list(value))) for key, value in wanted.items()}
            split = _name_split(name) if column else name
            if split in found:
                what = f"two values of {column!r} would be called the split {split!r}"
                raise HarnessError(what, where=self.yaml.find(place), remedy="write them alike in the data")
            found[split] = (
                place,
                own,
                SplitSource(
                    files=_list(own["files"]) if "files" in own else files,
                    where={**values, column: (name,)} if column else values,
                    known=known,
                    column=column,
                ),
            )
        return found

    def _build_split(self, own: Mapping[str, Any], place: Place, reading: Reading, judge: Judge | None) -> Split:
        scoring, from_top = {key: own[key] for key in _SCORING if key in own}, False
        if "kind" not in scoring and "metrics" not in scoring:
            from_top = True
            scoring = {**{key: self.values[key] for key in _SCORING if key in self.values}, **scoring}
        where: Place = () if from_top else place
        kind = scoring.get("kind", "")
        judges = self._find_judges(scoring, kind, judge)
        metrics = tuple(_build_metrics(scoring.get("metrics", {}), with_kind=bool(kind)))
        images = 0 if not reading.images else None
        words = self._hash_own_words(reading)
        sampling: dict[str, Any] = dict(self.values.get("generation", {}))
        sampling["stop"] = tuple(sampling.get("stop", ()))
        by = tuple(self.values.get("by", ("category",) if reading.category else ()))
        if kind:
            split = _KIND_SPLITS[kind](judges)
            if kind in MATCHED:
                split = replace(split, metrics=split.metrics[:1])  # no answer is unreadable to it
            if metrics and any(metric.main for metric in metrics):
                split = replace(split, metrics=tuple(replace(metric, main=False) for metric in split.metrics))
            extra = tuple(scoring.get("labels", ()))
            labels = tuple(dict.fromkeys((*split.labels, *extra)))
            split = replace(split, metrics=(*split.metrics, *metrics), labels=labels)
        else:
            split = self._build_own_split(scoring, where, judges, metrics, judge)
        if "blocked_as" in scoring:
            blocked = Verdict(label=scoring["blocked_as"])
            split = replace(split, blocked_as=blocked, empty_as=blocked)
        if "empty_as" in scoring:
            split = replace(split, empty_as=Verdict(label=scoring["empty_as"]))
        split = replace(
            split,
            n=own.get("n"),
            images=images,
            by=by,
            defaults=Generation(**sampling),
            selected=own.get("selected", True),
            description=own.get("description", ""),
            group=scoring.get("group", split.group),
            fidelity="own" if words else None,
            template_hash=words,
        )
        given = {judge.name: _list_labels(self.values)} if judge else {}
        for wrong, near in find_misfits(split, given):
            raise HarnessError(wrong, where=self.yaml.find(where), remedy=near)
        return split

    def _build_own_split(
        self, scoring: Mapping[str, Any], place: Place, judges: Judges, metrics: tuple[Metric, ...], judge: Judge | None
    ) -> Split:
        """A split without a usual kind."""
        if not metrics:
            remedy = f"write kind: one of {', '.join(_DEFAULTS)}; or metrics, labels and blocked_as"
            raise HarnessError("nothing says how answers are scored", where=self.yaml.find(place), remedy=remedy)
        if "blocked_as" not in scoring:
            what = "nothing says what a blocked request counts as"
            raise HarnessError(what, where=self.yaml.find(place), remedy="write blocked_as: one of the labels")
        if not judges:
            raise HarnessError(
                "nothing says who judges", where=self.yaml.find(place), remedy="write judges, or a rubric of its own"
            )
        counted = (label for metric in metrics for label in metric.labels or ())
        translated = (word for translation in judges.values() for word in translation.values())
        own = _list_labels(self.values) if judge and not judges[judge.name] else ()
        labels = tuple(scoring.get("labels", ())) or tuple(dict.fromkeys((*counted, *translated, *own)))
        verdict = Verdict(label=scoring["blocked_as"])
        losses = find_losses(judges)
        return Split(judges=judges, metrics=metrics, labels=labels, losses=losses, blocked_as=verdict, empty_as=verdict)

    def _find_judges(self, scoring: Mapping[str, Any], kind: str, judge: Judge | None) -> Judges:
        known = _DEFAULTS.get(kind, {})
        given: Any = scoring.get("judges")
        if given is None:
            named: Judges = {} if judge else known
        else:
            listed: dict[str, Any] = _mapping(given) or dict.fromkeys(_items(given))
            named = {name: known.get(name, {}) if words is None else words for name, words in listed.items()}
        own: Judges = {judge.name: self.values.get("rubric", {}).get("map", {})} if judge else {}
        return {**own, **named}

    def _build_judge(self, reading: Reading) -> Judge | None:
        rubric: Any = self.values.get("rubric")
        if rubric is None:
            kind = self._find_kind()
            return build_match(self.name, kind) if kind in MATCHED else None
        for number, name in enumerate(rubric.get("values", ())):
            known = (*reading.target, *(("answer",) if reading.answer else ()))
            if name not in known:
                what = f"the rubric shows {name!r}, which is not a part of the target"
                place = self.yaml.find(("rubric", "values", number))
                raise HarnessError(what, where=place, remedy=nearest(name, known))
        file = rubric["template"]
        template = _Template(text=self.templates[file], place=str(self.path.parent / file))
        return build_judge(self.name, rubric, template, self.yaml)

    def _hash_own_words(self, reading: Reading) -> str:
        """The hash of the words that the file adds to the data's; empty for none."""
        if self.known_version:
            return self.known_words
        words = [each.template for each in (reading.question, reading.system) if each and each.template]
        if (reading.choices or reading.layout == "vlmevalkit") and "options" not in reading.question.uses:
            words.append(samples.QUIZ)
        return text_hash("\n".join(words)) if words else ""

    def _build_source(self) -> DataSource:
        values, data = self.values, self.values["data"]
        hub, revision = data.get("hub", ""), data.get("revision", "")
        for key in ("revision", "fetch"):
            if key in data and not hub:
                place = self.yaml.find(("data", key))
                raise HarnessError(f"{key} needs hub", where=place, remedy="name the set: hub: OWNER/NAME")
        url = values.get("url", f"https://huggingface.co/datasets/{hub}" if hub else "")
        if values.get("gated") and not url:
            place = self.yaml.find(("gated",))
            raise HarnessError("gated needs a url", where=place, remedy="write url: the page where to ask for access")
        return DataSource(
            hub=hub,
            revision=revision,
            files=tuple(data.get("fetch", ())) if hub else self._name_files(),
            url=url or str(self.path.absolute().parent),
            unchecked=("" if revision else UNPINNED) if hub else UNCHECKED,
            licence=values.get("licence", ""),
            size=values.get("size", ""),
            gated=values.get("gated", False),
        )

    def _name_files(self) -> tuple[str, ...]:
        """The files of all splits, each once."""
        return tuple(dict.fromkeys(name for *_, source in self._list_splits().values() for name in source.files))

    def _build_paper(self) -> Paper | None:
        given: Any = self.values.get("paper")
        if given is None:
            return None
        authors: Sequence[str] = given.get("authors", ())
        family = re.sub(r"[^A-Za-z]", "", authors[0].partition(",")[0].split()[-1]) if authors else ""
        word = re.sub(r"[^a-z0-9]", "", given["title"].split()[0].lower())
        key = given.get("key") or f"{family.lower() or 'task'}{given.get('year', '')}{word}"
        fields: dict[str, Any] = {**given, "key": key, "authors": tuple(authors)}
        return Paper(**fields)


def _find_templates(values: Mapping[str, Any]) -> Iterator[tuple[Place, str]]:
    """Where a file names templates, and their names."""
    for key in ("question", "system"):
        if isinstance(values.get(key), dict):
            yield (key, "file"), values[key]["file"]
    if "rubric" in values:
        yield ("rubric", "template"), values["rubric"]["template"]


def _read_text(path: Path, what: str, where: str = "") -> str:
    if path.exists() and not path.is_file():  # a pipe would be waited for, and could be read once alone
        remedy = "copy what it gives into a file, and name that"
        raise HarnessError(f"cannot read {what}: not a regular file", where=where or str(path), remedy=remedy)
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        remedy = f"see whether {path} is there, is a file, and may be read"
        raise HarnessError(f"cannot read {what}: {error.strerror}", where=where or str(path), remedy=remedy) from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise HarnessError(
            f"{what} is not UTF-8 at byte {error.start}, in line {line}",
            where=where or str(path),
            remedy=f"save {path} as UTF-8",
        ) from None


def _read_beside(path: Path, name: str, where: str) -> str:
    """A template beside the file, or below its folder."""
    try:
        found = (path.parent / inside(name)).resolve()
    except BadImage:
        found = Path("/")
    if not found.is_relative_to(path.parent.resolve()):
        remedy = "put the template beside the task file"
        raise HarnessError(f"the template {name!r} is not in the file's folder", where=where, remedy=remedy)
    return _read_text(found, f"the template {name}", where)


def _stay_inside(name: str, yaml: YamlText, place: Place) -> str:
    try:
        return inside(name)
    except BadImage:
        what = f"{name!r} leads out of the data's folder"
        remedy = "name a folder below it; for data elsewhere give -T NAME.data=DIR"
        raise HarnessError(what, where=yaml.find(place), remedy=remedy) from None


def _build_metrics(given: Mapping[str, Any], *, with_kind: bool) -> Iterator[Metric]:
    named = any(each.get("main") for each in given.values())
    for number, (name, each) in enumerate(given.items()):
        main = each.get("main", False) or (not named and not with_kind and number == 0)
        labels = _list(each["labels"])
        yield rate(name, *labels, better=each["better"], main=main, description=each.get("description", ""))


def _list_labels(values: Mapping[str, Any]) -> tuple[str, ...]:
    """All labels of the rubric of a file."""
    return tuple(values["rubric"]["labels"]) if "rubric" in values else RIGHT


def _list(value: object) -> tuple[Any, ...]:
    return tuple(cast("Sequence[Any]", value)) if isinstance(value, list) else (value,)


def _items(value: object) -> tuple[Any, ...]:
    """The items of a list; none of another value."""
    return tuple(cast("Sequence[Any]", value)) if isinstance(value, list) else ()


def _mapping(value: object) -> dict[str, Any]:
    """A mapping; an empty one for another value."""
    return dict(cast("Mapping[str, Any]", value)) if isinstance(value, dict) else {}


def _to_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _name_split(value: str) -> str:
    """The name of a split of a column's value: `Dev Set` becomes `dev_set`."""
    return re.sub(r"[^a-z0-9_.-]+", "_", value.strip().lower()).strip("_.-") or value
