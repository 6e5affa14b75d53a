"""What makes new models and new data: a training and who carries it out, a build, an image that is drawn."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.types import Json, Setting, Settings, Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """One training as it is asked for.

    Attributes:
        model: what is trained: SCHEME/NAME of a local provider, a folder, or an id on the hub; may be empty where data
            are written for another trainer.
        data: name of an ingredient of the method -> where it lies; the name "" is the method's main one.
        out: folder of the trained model; it is there only once the training has ended well.
        recipe: name of a recipe, or a YAML file; empty for the method's own row for this model.
        overrides: values of the recipe that the user sets, as text.
        settings: of the trainer, complete.
        hold_out: categories whose records are left out.
        seed: of the mixture and of the training.
        resume: go on from the last checkpoint of the same training.
        launch: name or file of an accelerate configuration; empty trains in this process.
    """

    model: str
    data: Mapping[str, Path]
    out: Path
    recipe: str = ""
    overrides: Mapping[str, str] = field(default_factory=dict[str, str])
    settings: Settings = field(default_factory=dict[str, Any])
    hold_out: tuple[str, ...] = ()
    seed: int = 0
    resume: bool = True
    launch: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trainer:
    """Makes a new checkpoint: `harness train NAME`.

    Attributes:
        name: of the method.
        description: one line.
        plan: what a training would do, as text for a person; nothing is trained and nothing is written.
        train: does it -> folder of the trained model, which `hf/` and `vllm/` load. It holds a training.json with
            `tuned_from` and `trained_on`: see `harness.lineage`.
        settings: keys of `-S`.
        exports: layout of another trainer -> what writes the data of a training into its `out` in this layout, and
            gives the file that is handed to that trainer.
        facts: the plan as JSON, with a list of texts `refusals`: why this machine would not begin; None where there is
            the text alone.
    """

    name: str
    description: str
    plan: Callable[[Training], str]
    train: Callable[[Training], Path]
    settings: tuple[Setting, ...] = ()
    exports: Mapping[str, Callable[[Training], Path]] = field(default_factory=dict[str, Callable[["Training"], Path]])
    facts: Callable[[Training], Mapping[str, Json]] | None = None


def _unheard(_: str) -> None:
    """Where the lines go that nobody wants to read."""


def _never() -> bool:
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """One build as it is asked for.

    Attributes:
        config: file that describes it.
        out: folder of the data set; a build that was ended goes on in it.
        accepted: names of sources that the user allows in spite of their licence.
        settings: of the builder, complete.
        tell: given lines that a person should read as the build goes on.
        ending: whether a person has asked it to end: it begins nothing new and keeps what it has.
    """

    config: Path
    out: Path
    accepted: tuple[str, ...] = ()
    settings: Settings = field(default_factory=dict[str, Any])
    tell: Callable[[str], None] = _unheard
    ending: Callable[[], bool] = _never


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """What a build has come to.

    Attributes:
        folder: of the data set.
        records: file of the set -> number of records in it.
        open: what is still to be done and by which command, a line each; none where the set is complete.
    """

    folder: Path
    records: Mapping[str, int]
    open: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Builder:
    """Makes new data: `harness build NAME`.

    Attributes:
        name: of the builder.
        description: one line.
        build: does it, or goes on with it; raises HarnessError where nothing will work.
        plan: what a build would do, as text for a person; nothing is asked and nothing is written.
        settings: keys of `-S`.
    """

    name: str
    description: str
    build: Callable[[Build], Awaitable[Built]]
    plan: Callable[[Build], str]
    settings: tuple[Setting, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """What a painter was asked to draw.

    Attributes:
        prompt: in words.
        seed: the same prompt and seed give the same image, where the model can.
        width, height: pixels; a model that draws other sizes takes its nearest.
    """

    prompt: str
    seed: int = 0
    width: int = 1024
    height: int = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """An image that was drawn.

    Attributes:
        data: PNG, JPEG or WebP.
        model: name the provider reported; empty where it reports none.
        prompt: the one it was drawn from, where the provider rewrote it; empty else.
        seconds: it took.
        usage: tokens, where the provider counts them.
    """

    data: bytes = field(repr=False)
    model: str = ""
    prompt: str = ""
    seconds: float = 0.0
    usage: Usage = Usage()
