"""What makes new models, data and images: trainers, builders and painters.

A list of tasks does without it: nothing imports it at start-up.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from harness.types import Failure, Json, ModelInfo, Setting, Settings, Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """A training that a user asks for.

    Attributes:
        model: SCHEME/NAME of a local provider, a folder, or an id on the hub; may be empty if the data are only
            exported for another trainer.
        data: name of an ingredient of the method -> its place; the name "" is the method's main one.
        out: folder of the trained model; it exists only after a training that ended well.
        recipe: name of a recipe, or a YAML file; empty for the method's own values for this model.
        overrides: values of the recipe that the user sets, as text.
        settings: of the trainer, complete.
        hold_out: categories whose records are left out.
        seed: of the mixture and of the training.
        resume: continue from the last checkpoint of the same training.
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
        plan: what a training would do, as text for a person; trains and writes nothing.
        train: trains -> folder of the trained model, which `hf/` and `vllm/` load. It holds a training.json with
            `tuned_from` and `trained_on`: see `harness.lineage`.
        settings: keys of `-S`.
        exports: layout of another trainer -> function that writes the data of a training into its `out` in this layout
            and gives the file for that trainer.
        facts: the plan as JSON, with a list of texts `refusals`: why this machine cannot train. None for a trainer
            that has only the text.
    """

    name: str
    description: str
    plan: Callable[[Training], str]
    train: Callable[[Training], Path]
    settings: tuple[Setting, ...] = ()
    exports: Mapping[str, Callable[[Training], Path]] = field(default_factory=dict[str, Callable[["Training"], Path]])
    facts: Callable[[Training], Mapping[str, Json]] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """A build that a user asks for.

    Attributes:
        config: file that describes it.
        out: folder of the data set; a build that was stopped continues in it.
        accepted: names of sources that the user allows in spite of their licence.
        settings: of the builder, complete.
        tell: is called with lines that a person should read while the build runs.
        ending: tells whether the build should end; then it begins nothing new and keeps what it has.
    """

    config: Path
    out: Path
    accepted: tuple[str, ...] = ()
    settings: Settings = field(default_factory=dict[str, Any])
    tell: Callable[[str], None] = lambda _line: None
    ending: Callable[[], bool] = lambda: False


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """The result of a build.

    Attributes:
        folder: the folder of the data set.
        records: file of the set -> its number of records.
        open: one line for each remaining step, with its command; none if the set is complete.
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
        build: builds the set, or continues it; raises HarnessError when nothing will work.
        plan: what a build would do, as text for a person; asks no model and writes nothing.
        settings: keys of `-S`.
    """

    name: str
    description: str
    build: Callable[[Build], Awaitable[Built]]
    plan: Callable[[Build], str]
    settings: tuple[Setting, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """A drawing that a builder asks for.

    Attributes:
        prompt: the image in words.
        seed: the same prompt and seed give the same image, if the model can.
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
        model: the name that the provider reported, or empty.
        prompt: the prompt as rewritten by the provider; empty if unchanged.
        seconds: the seconds it took.
        usage: tokens, if the provider counts them.
    """

    data: bytes = field(repr=False)
    model: str = ""
    prompt: str = ""
    seconds: float = 0.0
    usage: Usage = Usage()


class Brush(Protocol):
    """Something that draws."""

    @property
    def info(self) -> ModelInfo:
        """What the model is; `can` holds `draw`."""
        ...

    async def draw(self, drawing: Drawing) -> Drawn | Failure:
        """Draw one image in one attempt; the engine handles retries and slots.

        A Failure says that this drawing failed, with `input_blocked` or `output_blocked` if a filter stopped it.
        Raises HarnessError when nothing will work.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Painter:
    """Opens models that draw images from words: SCHEME/NAME in a builder's config.

    Attributes:
        scheme: the text before the first slash.
        description: one line.
        open: (name, settings) -> async context manager that yields the Brush.
        settings: of the painter.
        local: it runs on this machine's accelerator.
    """

    scheme: str
    description: str
    open: Callable[[str, Settings], AbstractAsyncContextManager[Brush]]
    settings: tuple[Setting, ...] = ()
    local: bool = False
