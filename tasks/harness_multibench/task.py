"""The task `multibench`: one goal asked by one picture (composition) and by several (decomposition), goal by goal.

The columns of the data set's table were not seen. So they are a layout that is written down here, each can be named by
the setting `columns`, and what the layout takes for granted is checked when the table is read. Facts about the
benchmark are in `docs/tasks/multibench.md`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, Final

from harness import BadData, DataSource, Generation, Paper, Sample, Setting, Settings, Split, Task
from harness.contracts import UNSEEN
from harness.keys import short
from harness.metrics import Pairing
from harness.readers import Row, distinct, first_of, normalize_question, open_files, prompt, rows, together
from harness.usual import ATTACK_RULE, HARM_RUBRICS, REFUSAL_RULE, Judges, attack, find_losses, mini, over_refusal

MINI: Final = Path(__file__).with_name("mini")
TABLE: Final = ("dataset.csv", "data/dataset.csv")
#: split -> its folder on the hub
FOLDERS: Final = {
    "composition": "Unperturbed Composition",
    "decomposition": "Unperturbed Decomposition",
    "perturbed-composition": "Perturbed Composition",
    "perturbed-decomposition": "Perturbed Decomposition",
    "cipher": "Substitution Cipher",
    "control": "Control Dataset",
}
#: field of this reader -> whether it must be there; its column has the same name unless `columns` says another
FIELDS: Final = {"goal": True, "prompt": True, "images": True, "form": False, "category": False, "id": False}
HOW: Final = "-T multibench.columns=goal=COLUMN,prompt=COLUMN,images=COLUMN+COLUMN"


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Which column holds what: field -> its columns, of which `images` alone may have several."""

    names: Mapping[str, tuple[str, ...]]

    @classmethod
    def parse(cls, given: str) -> Columns:
        """Read `field=COLUMN,…`. Raises BadData that names the part which cannot be read."""
        names: dict[str, tuple[str, ...]] = {field: (field,) for field in FIELDS}
        for part in filter(None, (each.strip() for each in given.split(","))):
            field, equals, column = (each.strip() for each in part.partition("="))
            columns = tuple(name.strip() for name in column.split("+"))
            if field not in FIELDS or not equals or not all(columns) or (len(columns) > 1 and field != "images"):
                what = f"{part!r} is not FIELD=COLUMN with one of {', '.join(FIELDS)}"
                raise BadData(what, where="setting multibench.columns", remedy=HOW)
            names[field] = columns
        return cls(names=names)

    def check(self, row: Row) -> None:
        """Raises BadData with the table's own columns if it lacks one that is needed or was named."""
        for field, needed in FIELDS.items():
            named = self.names[field] != (field,)
            missing = [name for name in self.names[field] if name not in row.values]
            if missing and (needed or named):
                what = f"the table has no column {missing[0]!r} for {field}; it has {', '.join(row.values)}"
                raise BadData(what, where=row.place.partition(", ")[0], remedy=HOW)

    def read(self, row: Row, field: str, *, default: str | None = None) -> str:
        """The text of one field."""
        return row.text(*self.names[field], default=default)


def samples(root: Path, split: str, settings: Settings) -> Iterator[Sample]:
    """The samples of one split; those of one goal are adjacent.

    Raises:
        MissingData: the table is not there.
        BadData: it has other columns, or a record is not what its form says.
    """
    files = open_files(root)
    packaged = split.startswith("mini")
    columns = Columns.parse("" if packaged else str(settings["columns"]))
    wanted = {"mini": "decomposition", "mini-composition": "composition"}.get(split, split)
    found: list[tuple[Row, str, tuple[str, ...]]] = []
    forms: set[str] = set()
    for at, row in enumerate(rows(files, *TABLE)):
        if at == 0:
            columns.check(row)
        paths = _read_images(row, columns)
        form = _find_form(row, columns, paths)
        forms.add(form)
        if form != wanted:
            continue
        # Composition is one image and decomposition several: otherwise the columns are not what they are taken for.
        if "decomposition" in form and len(paths) < 2:
            what = f"{FOLDERS[form]} needs two images or more, and one is named"
            raise BadData(what, where=row.place, remedy=HOW)
        if form.endswith("composition") and "decomposition" not in form and len(paths) > 1:
            raise BadData(f"{FOLDERS[form]} has one image, and {len(paths)} are named", where=row.place, remedy=HOW)
        found.append((row, form, paths))
    if not found:
        what = f"no record is of the form {FOLDERS[wanted]!r}"
        raise BadData(
            what, where=TABLE[0], remedy=f"the table has: {', '.join(sorted(FOLDERS[each] for each in forms))}"
        )
    names = distinct(
        columns.read(row, "id", default="") or short([columns.read(row, "goal"), columns.read(row, "prompt"), *paths])
        for row, _, paths in found
    )
    read: list[Sample] = []
    for (row, form, paths), name in zip(found, names, strict=True):
        goal = columns.read(row, "goal")
        images = [first_of(files.image(path), files.image(f"{FOLDERS[form]}/{path}")) for path in paths]
        read.append(
            Sample(
                id=name,
                split=split,
                request=prompt(*images, columns.read(row, "prompt")),
                category=columns.read(row, "category", default=""),
                tags={"images": str(len(images))},
                cluster=normalize_question(goal),
                target={"intent": goal},
            )
        )
    return together(read, key=lambda sample: sample.cluster)


def _read_images(row: Row, columns: Columns) -> tuple[str, ...]:
    """Paths in order: of several columns, or of one as a list in JSON or with `;` between them."""
    found: list[str] = []
    for name in columns.names["images"]:
        cell = row.text(name, default="").strip()
        listed: list[Any] = cell.split(";")
        if cell.startswith("["):
            try:
                listed = json.loads(cell)
            except (ValueError, RecursionError):
                raise BadData("this is not a list in JSON", where=f"{row.place}, field {name}") from None
        found += [str(each).strip() for each in listed]
    found = [path.replace("\\", "/") for path in found if path]
    if not found:
        raise BadData("no image is named", where=f"{row.place}, field {columns.names['images'][0]}")
    return tuple(found)


def _find_form(row: Row, columns: Columns, paths: tuple[str, ...]) -> str:
    """The split a record belongs to: by its column, else by the folder of its first image."""
    given = columns.read(row, "form", default="")
    parts = (given,) if given else PurePosixPath(paths[0]).parts
    for part in parts:
        words = " ".join(part.replace("_", " ").replace("-", " ").casefold().split())
        for split, folder in FOLDERS.items():
            if words == folder.casefold():
                return split
    what = f"{given or paths[0]!r} names none of the six forms: {', '.join(FOLDERS.values())}"
    raise BadData(what, where=f"{row.place}, field {columns.names['form' if given else 'images'][0]}")


JUDGES: Final[Judges] = {"harmbench": HARM_RUBRICS["harmbench"], **HARM_RUBRICS, **ATTACK_RULE}
LOSSES: Final = {
    **find_losses(JUDGES),
    "harmbench": "It reads the goal and the answer, and no image: it says only whether the answer does what the goal "
    "says.",
    "llamaguard": "It knows only its own categories: other harm counts as safe. It reads the text that was sent, in "
    "which the goal may be missing, unless llamaguard.user_text=intent.",
}
#: of the control, whose requests are harmless
CONTROL: Final[Judges] = {"mossbench": {}, **REFUSAL_RULE}
CONTROL_LOSSES: Final = {
    "mossbench": "It sees all images, but was written for a single one.",
    "keyword": "It reads words: an answer that offers something else instead of what was asked counts as compliance.",
}
DEFAULTS: Final = Generation(temperature=0.0, max_tokens=1024)


def _split(description: str, images: int | None) -> Split:
    made = attack(JUDGES, n=None, by=("category", "images"), defaults=DEFAULTS, losses=LOSSES)
    return replace(made, images=images, description=description)


COMPOSED: Final = _split("the goal in one picture", 1)
DECOMPOSED: Final = _split("the same goal over several pictures", None)
SPLITS: Final = {
    "composition": COMPOSED,
    "decomposition": DECOMPOSED,
    "perturbed-composition": _split("the goal in one picture that is made hard to read", 1),
    "perturbed-decomposition": _split("the same goal over several pictures that are made hard to read", None),
    "cipher": replace(_split("the goal in a cipher whose key is given", None), selected=False),
    "control": replace(
        over_refusal(CONTROL, n=None, by=("category", "images"), defaults=DEFAULTS, losses=CONTROL_LOSSES),
        images=None,
        selected=False,
        description="harmless requests in the same form",
    ),
    "mini": replace(mini(DECOMPOSED, MINI, n=4, judges=ATTACK_RULE), images=3),
    "mini-composition": mini(COMPOSED, MINI, n=4, judges=ATTACK_RULE),
}


def _pair(name: str, left: str, right: str) -> Pairing:
    return Pairing(name=name, left=left, right=(right,), key=lambda record: record.cluster, metric="ASR")


PAPER: Final = Paper(
    key="broomfieldMultibench",
    title="MultiBench",
    authors=("Julius Broomfield",),
    url="https://huggingface.co/datasets/juliusbroomfield/MultiBench",
)
TASK: Final = Task(
    name="multibench",
    version="1",
    description="one harmful goal in one picture, and split over several (MultiBench)",
    splits=SPLITS,
    samples=samples,
    settings=(
        Setting(
            name="columns",
            type=str,
            default="",
            identity=True,
            help="which columns of dataset.csv hold what, as goal=COLUMN,prompt=COLUMN,images=COLUMN+COLUMN",
        ),
    ),
    source=DataSource(
        hub="juliusbroomfield/MultiBench",
        unchecked=UNSEEN,
        files=("dataset.csv", *(f"{folder}/*" for folder in FOLDERS.values())),
        url="https://huggingface.co/datasets/juliusbroomfield/MultiBench",
        licence="MIT, by the tag of its card",
        size="not published",
    ),
    pairings=(
        _pair("decomposition", "decomposition", "composition"),
        _pair("perturbed-decomposition", "perturbed-decomposition", "perturbed-composition"),
        _pair("mini", "mini", "mini-composition"),
    ),
    paper=PAPER,
)
