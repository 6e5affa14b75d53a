"""What a build is asked for, as values.

Roles name models, steps name roles: `writer` puts things into words, `viewer` looks at images, `painter` draws. The
other roles are the viewer's where nothing else is said: `checker` (the hard stops), `prober`, `labeller`, `judge`.

Faults that come up once a config was read are told with its key and its file, as those of its form are.

The sources of a plan: their faults are told with the key of the config, and looked for before anything is asked.
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
LEAST: Final = 0.8  #: likeness from which on two texts are near-duplicates
LOWEST: Final = 0.7  #: that can be asked for: the index finds 76 in 100 pairs of this likeness, and fewer below
MOST: Final = 6  #: bits of 64 in which near-duplicate images may differ
ROLES: Final[tuple[Role, ...]] = get_args(Role)
PROMPTS: Final[tuple[Prompt, ...]] = get_args(Prompt)

#: role -> the one whose model it has where none is named for it
INSTEAD: Final[Mapping[Role, Role]] = {
    "checker": "viewer",
    "prober": "viewer",
    "labeller": "viewer",
    "judge": "viewer",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelChoice:
    """A model, or a painter, as the config names it.

    Attributes:
        ref: `SCHEME/NAME`.
        settings: of its provider, as `-M` takes them.
        price: US dollars per million tokens, `input` and `output`, or per image, `image`; empty where it is not told.
    """

    ref: str
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    price: Mapping[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceTest:
    """A test that nothing of this set may nearly equal.

    Attributes:
        task: name of the harness's task that reads it, with a split after a colon where it is one alone.
        data: its root; None for where the harness keeps it.
    """

    task: str
    data: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Photos:
    """Real photographs for the records of the test splits.

    Attributes:
        name: of the source, as `--accept-licence` takes it.
        path: a folder of images, of WebDataset tars, or parquet files of an index.
        licence: of all of them, where they do not say one each; empty for none.
        count: of records at most.
        by: what finds a photograph for an object: `clip` (images and words in one space) or `caption` (the object's
            words in the photograph's caption).
        model: of open_clip: a name and after a colon its weights, a tag or a file; for `clip` alone.
        least: likeness of object and photograph from which on one is used.
        faces: YuNet's model file; None for what OpenCV brings.
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
    """A build as it is asked for; see docs/training/builder.md for each key.

    Attributes:
        name: of the set.
        language: that questions and labels are written in, in words.
        seed: of everything that is drawn by chance.
        sources: of seeds, in order.
        categories: name -> its sub-categories, which models and reviewers choose from; empty for free ones.
        models: role -> model; `writer` and `viewer` are always there.
        painter: draws.
        prompts: name -> file of the user's own template, instead of the package's.
        per_text, per_image: elements that are asked for from one text and from one image.
        rounds: of drawing: after each but the last a model may ask for other prompts.
        best_of: drawings of each object and round, of which a model takes the best.
        width, height: of drawings, in pixels.
        review: whether people decide on each candidate before it goes on.
        reviewers: how many must have, where they do.
        probe: whether the risk is looked for in the parts.
        together: leave out what a part gives away, or is not seen in the whole.
        rubric: that judges the labels, and which of its labels an answer must have.
        accept: likewise.
        tries: of a label that the judge does not accept.
        refusal, text_only: whether the labels of either ablation are made as well.
        likeness: of two texts, from which on the later one is dropped.
        bits: of 64, in which the hashes of two images that are alike may differ.
        against: tests.
        balance: how many of each category; None for all.
        photos: real photographs; None for no split `real`.
        concurrency: calls at once of one server; None for what the provider says.
        most_calls, most_usd: the build ends where it would take more; None for no such end.
        file: the config, for what is told of its keys; no part of what is asked for.
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
    likeness: float = LEAST
    bits: int = MOST
    against: tuple[ReferenceTest, ...] = ()
    balance: int | Mapping[str, int] | None = None
    photos: Photos | None = None
    concurrency: int | None = None
    most_calls: int | None = None
    most_usd: float | None = None
    file: Path = field(default=Path("build.yaml"), compare=False)

    def model(self, role: Role) -> ModelChoice:
        """The model of a role: its own, or the one that stands in."""
        return self.models.get(role) or self.models[INSTEAD[role]]


@contextmanager
def config_key(plan: Plan, key: str) -> Generator[None]:
    """What is raised within is about this key of the plan's config."""
    try:
        yield
    except HarnessError as error:
        error.what = f"{key}: {error.what}"
        error.where = ", ".join(filter(None, (error.where, str(plan.file))))
        raise


def read_plan_seeds(plan: Plan) -> Iterator[tuple[SeedSource, Seed]]:
    """All seeds of all sources, in order.

    Raises:
        HarnessError: as `read_seeds`.
    """
    for number, source in enumerate(plan.sources, start=1):
        with config_key(plan, f"sources.#{number}"):
            yield from ((source, seed) for seed in read_seeds(source))


def check_sources_readable(plan: Plan) -> None:
    """Read the first seed of each source: a slip costs no call then.

    Raises:
        HarnessError: as `read_seeds`.
    """
    for number, source in enumerate(plan.sources, start=1):
        with config_key(plan, f"sources.#{number}"):
            next(read_seeds(replace(source, limit=None)))
