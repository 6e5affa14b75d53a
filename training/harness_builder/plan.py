"""The plan: what `build.yaml` asks for, as values; and the seeds of its sources.

Roles name models and steps name roles: the `writer` puts things into words, the `viewer` looks at images, the `painter`
draws. The other roles have the viewer's model unless the config names one: `checker` (the hard stops), `prober`,
`labeller`, `judge`.
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

TEXT_LIKENESS: Final = 0.8  #: from which on two texts are near-duplicates
LOWEST_LIKENESS: Final = 0.7  #: the index finds 76 in 100 pairs of this likeness, and fewer of a lower one
IMAGE_BITS: Final = 6  #: of 64, in which the hashes of near-duplicate images may differ


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelChoice:
    """A model, or the painter, as the config names it.

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
        name: of the source, as `--accept-licence` takes it.
        path: a folder of images, of WebDataset tars, or parquet files of an index.
        licence: of all photographs that do not state their own; empty for none.
        count: of records at most.
        by: what finds a photograph for an object: `clip` (images and words in one space) or `caption` (the object's
            words in the photograph's caption).
        model: of open_clip, for `clip` alone: `NAME:WEIGHTS`, where the weights are a tag or a file.
        least: likeness of object and photograph from which on a photograph is used.
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
    """A build as it is asked for; docs/training/builder.md explains each key. build.json has these fields.

    Attributes:
        name: of the set.
        language: of questions and labels, in words.
        seed: of everything that is drawn by chance.
        sources: of seeds, in order.
        categories: name -> its sub-categories, from which models and reviewers choose; empty for free ones.
        models: role -> model; `writer` and `viewer` are always there.
        painter: draws.
        prompts: name -> the user's own template file, instead of the package's.
        per_text, per_image: elements to ask for from one text and from one image.
        rounds: of drawing; after each but the last a model may ask for other prompts.
        best_of: drawings of each object and round, of which a model takes the best.
        width, height: of drawings, in pixels.
        review: whether people decide on each candidate before it goes on.
        reviewers: how many must have decided.
        probe: whether to look for the risk in the parts.
        together: keep a record of the hard test only if no part gives the risk away and the whole shows it.
        rubric: that judges the labels.
        accept: the rubric's labels that an answer may have.
        tries: answers to draw at most until the judge accepts one.
        refusal, text_only: whether to make the labels of each ablation as well.
        likeness: of two texts, from which on the later one is dropped.
        bits: of 64, in which the hashes of two images that are alike may differ.
        against: tests.
        balance: how many of each category; None for all.
        photos: real photographs; None for no split `real`.
        concurrency: calls at once of one server; None for what the provider says.
        most_calls, most_usd: limits at which the build ends; None for no limit.
        file: the config, for messages; it is no part of what is asked for.
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
        """The model of a role: its own, or the one of the role that stands in."""
        return self.models.get(role) or self.models[INSTEAD[role]]


@contextmanager
def config_key(plan: Plan, key: str) -> Generator[None]:
    """Add this key and the config's path to an error of the body, as the errors of the config's form have them."""
    try:
        yield
    except HarnessError as error:
        error.what = f"{key}: {error.what}"
        error.where = ", ".join(filter(None, (error.where, str(plan.file))))
        raise


def read_plan_seeds(plan: Plan) -> Iterator[tuple[SeedSource, Seed]]:
    """All seeds of all sources, in order. Raises HarnessError as `read_seeds`, with the source's key."""
    for number, source in enumerate(plan.sources, start=1):
        with config_key(plan, f"sources.#{number}"):
            yield from ((source, seed) for seed in read_seeds(source))


def check_sources_readable(plan: Plan) -> None:
    """Read the first seed of each source, so that a mistake costs no call. Raises as `read_plan_seeds`."""
    for number, source in enumerate(plan.sources, start=1):
        with config_key(plan, f"sources.#{number}"):
            next(read_seeds(replace(source, limit=None)))
