"""How each set of seeds lies on disk, as data: which files, which columns, where its images are.

A column has several names where copies of a set differ. Columns that are not named here are ignored; where none of the
names of a wanted column is there, the reader says which it looked for and which there are.

Sources: the sets' own repositories and cards; for VLSafe, Ch3Ef and RTVLM the code of those who read them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

from harness import HarnessError, UnknownName
from harness.settings import nearest

Shape = Literal["table", "keyed", "items", "pictures"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """One way in which seeds lie in a folder or an archive.

    Attributes:
        name: what a source calls it by.
        files: patterns of its data files, the one with the fewest detours first: the first that matches is taken.
        shape: records in a list, CSV or parquet file; one JSON object of records by their id; an object that holds the
            list in its field `items`; or the files themselves, each an image.
        text: columns that may hold the text; empty: the images alone are seeds.
        image: columns that may name the image; empty: the texts alone are seeds.
        category: columns that may hold the category.
        key: columns that may name the record.
        images: where an image may be: `{folder}` is that of the data file, `{value}` what the column says, `{stem}` the
            same without its ending.
        category_of: of the file's own name or its folder's, where no column has it.
    """

    name: str
    files: tuple[str, ...]
    shape: Shape = "table"
    text: tuple[str, ...] = ()
    image: tuple[str, ...] = ()
    category: tuple[str, ...] = ()
    key: tuple[str, ...] = ("id", "ID", "Index", "index")
    images: tuple[str, ...] = ("{value}", "{folder}{value}")
    category_of: Literal["", "file", "folder"] = ""


TABLES: Final = ("*.parquet", "*.csv", "*.tsv", "*.jsonl", "*.ndjson", "*.json")
PICTURES: Final = ("*.png", "*.jpg", "*.jpeg", "*.webp", "*.bmp", "*.gif")
PLAIN: Final = "plain"

_MM_TEXT: Final = Layout(
    name="mm-safetybench",
    files=("*/Text_only*.parquet",),
    text=("question",),
    category_of="folder",
)

LAYOUTS: Final[dict[str, tuple[Layout, ...]]] = {
    "mm-safetybench": (
        _MM_TEXT,
        Layout(
            name="mm-safetybench",
            files=("*processed_questions/*.json",),
            shape="keyed",
            text=("Changed Question", "Question"),
            category_of="file",
        ),
    ),
    "mm-safetybench-images": (
        Layout(
            name="mm-safetybench-images",
            files=("*/SD.parquet", "*/SD-*.parquet"),
            image=("image",),
            category_of="folder",
        ),
    ),
    "vlsbench": (
        Layout(
            name="vlsbench",
            files=("data.json", "train*.parquet", "train/*.parquet"),
            text=("instruction",),
            image=("image", "image_path"),
            category=("category",),
            key=("instruction_id", "id"),
        ),
    ),
    "vlsafe": (
        Layout(
            name="vlsafe",
            files=("*VLSafe*.jsonl", "*vlsafe*.jsonl", "*.jsonl", "*.json"),
            text=("query", "question"),
            image=("image_id", "image"),
            key=("id", "question_id"),
            images=("{value}", "train2017/{value}", "coco/train2017/{value}", "images/{value}"),
        ),
    ),
    "spa-vl": (
        Layout(
            name="spa-vl",
            files=("*.parquet", "*.jsonl", "*.json"),
            text=("question",),
            image=("image",),
            category=("class1",),
        ),
    ),
    "ch3ef": (
        Layout(
            name="ch3ef",
            files=("*meta_file/Harmless.json", "*Harmless.json"),
            shape="items",
            text=("query",),
            image=("image",),
            category=("source",),
        ),
    ),
    "rtvlm": (
        Layout(
            name="rtvlm",
            files=("*.jsonl",),
            text=("instruction", "question"),
            image=("image", "index"),
            key=("index", "id"),
            images=("{folder}img/{value}", "{folder}img/{value}.jpg", "{folder}img/{value}.png", "{value}"),
            category_of="folder",
        ),
    ),
    "advbench": (
        Layout(
            name="advbench",
            files=("*harmful_behaviors*.csv", "*.csv", "*.parquet"),
            text=("goal", "prompt"),
        ),
    ),
    "harmbench": (
        Layout(
            name="harmbench",
            files=("*harmbench_behaviors_text*.csv", "*.csv", "*.parquet"),
            text=("Behavior", "behavior", "prompt"),
            category=("SemanticCategory", "category"),
            key=("BehaviorID", "id"),
        ),
    ),
    "harmbench-multimodal": (
        Layout(
            name="harmbench-multimodal",
            files=("*harmbench_behaviors_multimodal*.csv",),
            text=("Behavior",),
            image=("ImageFileName",),
            category=("SemanticCategory",),
            key=("BehaviorID",),
            images=(
                "multimodal_behavior_images/{value}",
                "data/multimodal_behavior_images/{value}",
                "multimodal_behavior_images/{stem}.png",  # seven rows say .jpg where the file is a .png
                "data/multimodal_behavior_images/{stem}.png",
            ),
        ),
    ),
    PLAIN: (
        Layout(
            name=PLAIN,
            files=TABLES,
            text=("text", "question", "instruction", "prompt", "query", "goal", "behavior"),
            image=("image", "image_path", "img"),
            category=("category", "class"),
            key=("id", "key"),
            images=("{value}", "{folder}{value}", "images/{value}"),
        ),
    ),
    "images": (Layout(name="images", files=PICTURES, shape="pictures", category_of="folder"),),
}


def find_layouts(name: str) -> tuple[Layout, ...]:
    """The forms in which a set is about.

    Raises:
        UnknownName: no set is called so.
    """
    if name in LAYOUTS:
        return LAYOUTS[name]
    known = ", ".join(LAYOUTS)
    raise UnknownName(f"no layout of seeds is called {name!r}", remedy=nearest(name, LAYOUTS) or f"take one of {known}")


def rename_columns(layout: Layout, columns: Mapping[str, str]) -> Layout:
    """The layout with the user's own names for columns; one that names a text has no image unless it names that too.

    Raises:
        HarnessError: something that is no column is given a name.
    """
    wanted = ("text", "image", "category", "key")
    for column in columns:
        if column not in wanted:
            raise HarnessError(f"a seed has no column {column!r}", remedy=f"name one of {', '.join(wanted)}")
    if not columns:
        return layout
    told = {column: (name,) for column, name in columns.items()}
    bare = told.keys() & {"text", "image"}
    return replace(
        layout,
        text=told.get("text", () if bare else layout.text),
        image=told.get("image", () if bare else layout.image),
        category=told.get("category", layout.category),
        key=told.get("key", layout.key),
    )
