"""Methods as values: which data in which shares, with which labels, and which parts of the model learn; and SETTINGS,
which `-S` takes for every method (hyperparameters are values of the recipe).

A user writes a method of their own as a YAML file (`harness_mirage.trainers` reads it), and `--launch` passes one to
other processes as JSON; `parse_method` checks both:

    name: mine
    description: my pairs, and some general ones
    trained: [language, projector]
    recipe: mirage
    ingredients:
      - {layout: mis, source: my-pairs}
      - {name: general, layout: sharegpt, count: 500}
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Final, Literal, cast, get_args

from harness import BadData, Setting, Training, UnknownName
from harness.settings import nearest

Role = Literal["language", "projector", "vision"]
Layout = Literal["mis", "vlguard", "saferlhf", "sharegpt", "llamafactory", "swift"]
Labels = Literal["given", "refusal", "text_only"]

ROLES: Final[tuple[Role, ...]] = ("language", "projector", "vision")
LANGUAGE: Final[tuple[Role, ...]] = ("language",)
MULTIMODAL: Final[tuple[Role, ...]] = ("language", "projector")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingredient:
    """One part of a mixture.

    Attributes:
        name: what `--data NAME=PATH` calls it; empty for the main one, `--data PATH`.
        layout: of its files.
        count: records to take at random with the training's seed; None for all.
        share: records as a share of the whole mixture, instead of a count.
        labels: `given` keeps the answers; `refusal` replaces them by a fixed refusal; `text_only` drops the images
            and asks in words.
        part: filter of the layout's reader, such as `unsafe`; empty for all records.
        needed: whether the method refuses to train without it; else it is left out, with a note.
        source: name of the published set, as `trained_on` of training.json has it; without a `hub`, the user's own
            name of their data.
        hub: id of the published set on the hub.
    """

    name: str = ""
    layout: Layout
    count: int | None = None
    share: float | None = None
    labels: Labels = "given"
    part: str = ""
    needed: bool = True
    source: str = ""
    hub: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """A way to fine-tune.

    Attributes:
        name: what `harness train` calls it.
        description: one line.
        ingredients: of the mixture, the main one first.
        trained: roles whose parameters learn; all others are frozen.
        recipe: method whose values of a recipe it takes, where the recipe has none under its own name.
        source: paper and section.
    """

    name: str
    description: str
    ingredients: tuple[Ingredient, ...]
    trained: tuple[Role, ...] = MULTIMODAL
    recipe: str = ""
    source: str = ""


_GENERAL: Final = Ingredient(
    name="general", layout="sharegpt", count=500, source="M4-Instruct-Data", hub="lmms-lab/M4-Instruct-Data"
)
_MIS: Final = Ingredient(layout="mis", source="mis-train", hub="Tuwhy/MIS_Train")
_SAFERLHF: Final = Ingredient(layout="saferlhf", source="PKU-SafeRLHF", hub="PKU-Alignment/PKU-SafeRLHF")
_UNSAFE: Final = Ingredient(layout="vlguard", part="unsafe", source="VLGuard", hub="ys-zong/VLGuard")
_SAFE: Final = replace(_UNSAFE, part="safe")
_PAPER: Final = "arXiv 2501.18533"

METHODS: Final[tuple[Method, ...]] = (
    Method(
        name="mirage",
        description="multi-image safety with reasoned labels, as MIS-train's are, and 500 general multi-image samples",
        ingredients=(_MIS, _GENERAL),
        source=f"{_PAPER} §4",
    ),
    Method(
        name="mirage-refusal",
        description="ablation of mirage: the same questions, every answer an apology",
        ingredients=(replace(_MIS, labels="refusal"), _GENERAL),
        recipe="mirage",
        source=f"{_PAPER}, ablation",
    ),
    Method(
        name="mirage-text-only",
        description="ablation of mirage: the same harm asked in words, without images",
        ingredients=(replace(_MIS, labels="text_only"), _GENERAL),
        recipe="mirage",
        source=f"{_PAPER}, ablation",
    ),
    Method(
        name="textual-sft",
        description="baseline: 2,000 harmful and 1,000 benign texts beside a black image; the language model learns",
        ingredients=(replace(_SAFERLHF, part="harmful", count=2000), replace(_SAFERLHF, part="benign", count=1000)),
        trained=LANGUAGE,
        source=f"{_PAPER} App. B",
    ),
    Method(
        name="vlguard-p",
        description="baseline: post-hoc tuning on VLGuard's 2,000 unsafe and 1,000 safe samples",
        ingredients=(_UNSAFE, _SAFE),
        source=f"{_PAPER} App. B; arXiv 2402.02207",
    ),
    Method(
        name="vlguard-m",
        description="baseline: VLGuard mixed into general multimodal samples",
        ingredients=(
            _UNSAFE,
            _SAFE,
            Ingredient(
                name="general",
                layout="sharegpt",
                count=5000,
                source="LLaVA-Instruct",
                hub="liuhaotian/LLaVA-Instruct-150K",
            ),
        ),
        recipe="vlguard-p",
        source=f"{_PAPER} App. B; arXiv 2402.02207",
    ),
    Method(
        name="vlguard-r",
        description="baseline: VLGuard whose unsafe samples have reasoned labels, which the user brings",
        ingredients=(replace(_UNSAFE, name="reasoned"), _SAFE),
        source=f"{_PAPER} App. B",
    ),
)

_NAME: Final = r"[a-z0-9][a-z0-9_.-]*"
_CHOICES: Final[Mapping[str, tuple[str, ...]]] = {"layout": get_args(Layout), "labels": get_args(Labels)}
_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    **dict.fromkeys(("name", "source", "part", "hub", "layout", "labels", "description", "recipe"), (str,)),
    "count": (int, type(None)),
    "share": (float, int, type(None)),
    "needed": (bool,),
    "ingredients": (list,),
    "trained": (list,),
}
_TYPE_NAMES: Final[Mapping[type, str]] = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list",
    dict: "a mapping",
    type(None): "nothing",
}
_AMOUNTS: Final = "give a count of records, or a share beside an ingredient without one, or neither for all of them"


def parse_method(given: Mapping[str, Any], where: str) -> Method:
    """Build a method from plain values.

    Raises:
        UnknownName: no such key, role, layout or kind of labels.
        BadData: a value has the wrong type or makes no sense.
    """
    _check_types(Method, given, where)
    listed = list(cast("list[Any]", given.get("ingredients", [])))
    if not listed or not all(isinstance(each, dict) for each in listed):
        raise BadData("a method has a list of ingredients", where=f"{where}, ingredients")
    if not re.fullmatch(_NAME, given["name"]):
        raise BadData(f"{given['name']!r} is no name: small letters, digits, _ . -", where=f"{where}, name")
    ingredients = tuple(_parse_ingredient(each, f"{where}, ingredient {n}") for n, each in enumerate(listed, 1))
    if all(each.share is not None for each in ingredients):
        what = "each ingredient is a share of the mixture, and nothing says how large that is"
        raise BadData(what, where=f"{where}, ingredients", remedy=_AMOUNTS)
    trained = tuple(given.get("trained", MULTIMODAL))
    if unknown := [role for role in trained if role not in ROLES]:
        remedy = nearest(str(unknown[0]), ROLES)
        raise UnknownName(f"there is no role {unknown[0]!r}", where=f"{where}, trained", remedy=remedy)
    if not trained:
        raise BadData(
            "no part of the model would be trained", where=f"{where}, trained", remedy=f"some of {', '.join(ROLES)}"
        )
    made: dict[str, Any] = {**given, "ingredients": ingredients, "trained": trained}
    return Method(**made)


def _parse_ingredient(given: Mapping[str, Any], where: str) -> Ingredient:
    _check_types(Ingredient, given, where)
    if "layout" not in given:
        raise BadData("an ingredient says its layout", where=where, remedy=f"one of {', '.join(_CHOICES['layout'])}")
    for name, known in _CHOICES.items():
        if name in given and given[name] not in known:
            raise UnknownName(f"there is no {name} {given[name]!r}", where=where, remedy=nearest(given[name], known))
    count, share = given.get("count"), given.get("share")
    if count is not None and share is not None:
        raise BadData("a count and a share are two amounts of one ingredient", where=where, remedy=_AMOUNTS)
    if count is not None and count < 1:
        raise BadData(f"count: {count} is not a whole number from 1", where=where, remedy=_AMOUNTS)
    if share is not None and not 0 < share < 1:
        raise BadData(f"share: {share:g} is not between 0 and 1", where=where, remedy=_AMOUNTS)
    return Ingredient(**given)


def _check_types(kind: type, given: Mapping[str, object], where: str) -> None:
    known = [field.name for field in fields(kind)]
    for name, value in given.items():
        if name not in known:
            raise UnknownName(f"there is no key {name!r}", where=where, remedy=nearest(str(name), known))
        if isinstance(value, _TYPES[name]) and (name == "needed" or not isinstance(value, bool)):
            continue
        if isinstance(value, bool):
            found = str(value).lower()
        elif isinstance(value, str | int | float):
            found = repr(value)
        else:
            found = _TYPE_NAMES.get(type(value), "that")
        raise BadData(f"{name}: {_TYPE_NAMES[_TYPES[name][0]]} is wanted, not {found}", where=where)


SETTINGS: Final = (
    Setting(
        name="skip_bad",
        type=bool,
        default=False,
        identity=True,
        help="train without records that cannot be learnt from, and count them, instead of refusing the data",
    ),
    Setting(
        name="general_count",
        type=int,
        default=None,
        identity=True,
        help="records of the ingredient `general`; not set: as many as the method says; 0 leaves it out",
        least=0,
    ),
    Setting(
        name="general_share",
        type=float,
        default=None,
        identity=True,
        help="the ingredient `general` as a share of the whole mixture, from 0 to below 1, instead of a count",
        least=0,
    ),
    Setting(
        name="trust_remote_code",
        type=bool,
        default=False,
        identity=False,
        help="run the Python code that comes with the model",
    ),
    Setting(
        name="device",
        type=str,
        default="auto",
        identity=False,
        help="auto takes the GPU where there is one",
        choices=("auto", "cpu"),
    ),
    Setting(
        name="micro_batch",
        type=int,
        default=None,
        identity=False,
        help="records that one device holds at once; not set: 1 on a GPU, as many as fit the recipe's batch on a CPU",
        least=1,
    ),
    Setting(
        name="save_every",
        type=int,
        default=100,
        identity=False,
        help="steps between two checkpoints, from which a stopped training continues",
        least=1,
    ),
    Setting(
        name="log",
        type=str,
        default="none",
        identity=False,
        help="also write the losses for TensorBoard or Weights & Biases",
        choices=("none", "tensorboard", "wandb"),
    ),
    Setting(
        name="merge",
        type=bool,
        default=False,
        identity=False,
        help="write LoRA into the weights: a whole model in place of an adapter",
    ),
    Setting(
        name="threads",
        type=int,
        default=None,
        identity=False,
        help="CPU threads; not set: one for a small model, torch's own number for a large one",
        least=1,
    ),
    Setting(
        name="workers",
        type=int,
        default=0,
        identity=False,
        help="processes that open and cut images ahead; 0 does it in the training's own",
        least=0,
    ),
)
_DEFAULTS: Final[Mapping[str, Any]] = {setting.name: setting.default for setting in SETTINGS}


def get_setting(training: Training, name: str) -> Any:
    """A setting's value, or its default."""
    return training.settings.get(name, _DEFAULTS[name])
