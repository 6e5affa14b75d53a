"""The plan: the values of `build.yaml`, and the seeds of its sources.

Roles name models and steps name roles: the `writer` writes texts, the `viewer` looks at images, the `painter` draws.
The other roles have the viewer's model unless the config names one: `checker` (the hard stops), `prober`, `labeller`,
`judge`.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal, get_args

from harness import HarnessError
from harness_builder.seeds import SeedSource, read_seeds
from harness_builder.values import Seed

Role = Literal["writer", "viewer", "checker", "prober", "labeller", "judge"]
Prompt = Literal["elements", "write", "detoxify", "choose", "refine", "classify", "label", "refusal"]
ROLES: Final[tuple[Role, ...]] = get_args(Role)
PROMPTS: Final[tuple[Prompt, ...]] = get_args(Prompt)
#: role -> the role whose model it has unless the config names one
INSTEAD: Final[Mapping[Role, Role]] = {
    "checker": "viewer",
    "prober": "viewer",
    "labeller": "viewer",
    "judge": "viewer",
}

TEXT_LIKENESS: Final = 0.8  #: least likeness of near-duplicate texts
LOWEST_LIKENESS: Final = 0.7  #: the index finds 76 of 100 pairs with this likeness, and fewer with a lower one
IMAGE_BITS: Final = 6  #: of 64, in which the hashes of near-duplicate images may differ
MOST_BITS: Final = 16  #: with more, the bands of the index are so short that it compares nearly all images


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelChoice:
    """A model, or the painter, from the config.

    Attributes:
        ref: `SCHEME/NAME`.
        settings: of its provider, as `-M` takes them.
        price: US dollars per million tokens, `input` and `output`, or per image, `image`; empty if the config has none.
    """

    ref: str
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    price: Mapping[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceTest:
    """A test that no record of the set may nearly equal.

    Attributes:
        task: the harness's task that reads it; `TASK:SPLIT` for one split alone.
        data: its root; None for the harness's data folder.
    """

    task: str
    data: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Photos:
    """Real photographs for the records of the test splits.

    Attributes:
        name: of the source, for `--accept-licence`.
        path: a folder of images, of WebDataset tars, or parquet files of an index.
        licence: of all photographs that do not state their own; empty for none.
        count: the most records.
        by: how to find a photograph for an object: `clip` (images and words in one space) or `caption` (the object's
            words in the photograph's caption).
        model: of open_clip, for `clip` alone: `NAME:WEIGHTS`; the weights are a tag or a file.
        least: least likeness of object and photograph.
        faces: YuNet's model file; None for OpenCV's own cascades.
    """

    name: str
    path: Path
    licence: str = ""
    count: int = 100
    by: Literal["clip", "caption"] = "clip"
    model: str = ""
    least: float = 0.25
    faces: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The plan of a build; docs/training/builder.md explains each key. build.json has these fields.

    Attributes:
        name: of the set.
        language: of questions and labels, in words.
        seed: of all random choices.
        sources: of seeds, in order.
        categories: name -> its sub-categories, from which models and reviewers choose; empty for free ones.
        models: role -> model; `writer` and `viewer` are always there.
        painter: draws.
        prompts: name -> the user's own template file, instead of the package's.
        per_text, per_image: elements to ask for from one text and from one image.
        rounds: of drawing; after each but the last a model may ask for other prompts.
        best_of: drawings of each object in each round; a model takes the best.
        width, height: of drawings, in pixels.
        review: whether people must decide on each candidate.
        reviewers: how many must have decided.
        probe: whether to look for the risk in the parts.
        together: keep a record of the hard test only if no part gives the risk away and the whole shows it.
        rubric: that judges the labels.
        accept: the rubric's labels that an answer may have.
        tries: the most answers to draw until the judge accepts one.
        refusal, text_only: whether to make the labels of each ablation as well.
        likeness: least likeness of two texts at which the later one is dropped.
        bits: of 64, most that differ in the hashes of two near-duplicate images.
        against: tests.
        balance: how many of each category; None for all.
        photos: real photographs; None for no split `real`.
        concurrency: calls at once of one server; None for the provider's default.
        most_calls, most_usd: limits at which the build ends; None for no limit.
        file: the config, for messages; not a part of the plan's content.
    """

    name: str
    sources: tuple[SeedSource, ...]
    models: Mapping[Role, ModelChoice]
    painter: ModelChoice
    language: str = "English"
    seed: int = 0
    categories: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    prompts: Mapping[Prompt, Path] = field(default_factory=dict[Prompt, Path])
    per_text: int = 2
    per_image: int = 3
    rounds: int = 2
    best_of: int = 1
    width: int = 1024
    height: int = 1024
    review: bool = True
    reviewers: int = 1
    probe: bool = True
    together: bool = False
    rubric: str = "mis"
    accept: tuple[str, ...] = ("safe_reasoning",)
    tries: int = 2
    refusal: bool = False
    text_only: bool = False
    likeness: float = TEXT_LIKENESS
    bits: int = IMAGE_BITS
    against: tuple[ReferenceTest, ...] = ()
    balance: int | Mapping[str, int] | None = None
    photos: Photos | None = None
    concurrency: int | None = None
    most_calls: int | None = None
    most_usd: float | None = None
    file: Path = field(default=Path("build.yaml"), compare=False)

    def model(self, role: Role) -> ModelChoice:
        """The model of a role: its own, or that of its substitute role."""
        return self.models.get(role) or self.models[INSTEAD[role]]


@contextmanager
def config_key(plan: Plan, key: str) -> Generator[None]:
    """Add this key and the config's path to an error of the body, as in other config errors."""
    try:
        yield
    except HarnessError as error:
        error.what = f"{key}: {error.what}"
        error.where = ", ".join(filter(None, (error.where, str(plan.file))))
        raise


def read_plan_seeds(plan: Plan) -> Iterator[tuple[SeedSource, Seed]]:
    """All seeds of all sources, in order. Raises HarnessError like `read_seeds`, with the source's key."""
    for number, source in enumerate(plan.sources, start=1):
        with config_key(plan, f"sources.#{number}"):
            yield from ((source, seed) for seed in read_seeds(source))


def check_sources_readable(plan: Plan) -> None:
    """Read the first seed of each source, so that a mistake costs no call. Raises like `read_plan_seeds`."""
    for number, source in enumerate(plan.sources, start=1):
        with config_key(plan, f"sources.#{number}"):
            next(read_seeds(replace(source, limit=None)))
