"""The task `lm-eval`: an open set, a split for each task that lm-eval can find."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from harness import DataSource, Generation, Metric, Record, Sample, Setting, Settings, Split, Task, Verdict

from .loader import LABELS, CountedMetric, LoadedTask, load_task

_TOKENS: Final = 256  #: theirs, if a task says nothing
_LENGTHS: Final = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")  #: the first one counts
_MOST_IMAGES: Final = 64  #: more than any of their tasks shows; what each sample holds is counted when it is listed

SETTINGS: Final = (
    Setting(name="num_fewshot", type=int, default=None, identity=True, help="solved examples before each question"),
    Setting(
        name="raw",
        type=bool,
        default=False,
        identity=True,
        help="send the context as it stands, without a chat template; texts only",
    ),
)


class OpenSet(Mapping[str, Split]):
    """A split for the name of any task of lm-eval's; it lists none, since reading them all takes seconds."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def __getitem__(self, name: str) -> Split:
        return build_split(load_task(self._root, name))

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def build_split(found: LoadedTask) -> Split:
    """How a task's answers are sampled and counted: as its configuration says."""
    worst = Verdict(label="wrong", axes={name: metric.worst for name, metric in found.metrics.items()})
    return Split(
        n=len(found.task.eval_docs),
        images=_MOST_IMAGES if found.shown else 0,
        judges={"lm-eval": {}},
        metrics=tuple(_build_metric(name, metric) for name, metric in found.metrics.items()),
        by=(),
        defaults=_read_sampling({} if found.chooses else found.task.config.generation_kwargs or {}),
        blocked_as=worst,
        empty_as=worst,
        labels=LABELS,
        group="ability",
        selected=False,
    )


def _build_metric(name: str, metric: CountedMetric) -> Metric:
    def score(record: Record) -> tuple[float, float]:
        return (float(record.axes[name]), 1.0) if name in record.axes else (0.0, 0.0)

    return Metric(
        name=name, score=score, better=metric.better, labels=(), description=f"lm-eval's {name}, of each document."
    )


def _read_sampling(theirs: Mapping[str, Any]) -> Generation:
    """Their `gen_kwargs`, read as they do. Their stops are applied to the answer afterwards."""
    # greedy if they say `do_sample: false` or nothing; a temperature alone samples, and sampling alone is at 1
    samples, temperature = theirs.get("do_sample"), theirs.get("temperature")
    if samples is False:
        temperature = 0.0
    elif temperature is None:
        temperature = 1.0 if samples else 0.0
    temperature = float(temperature)
    lengths = (theirs[name] for name in _LENGTHS if theirs.get(name) is not None)
    return Generation(
        temperature=temperature,
        top_p=float(theirs["top_p"]) if temperature and theirs.get("top_p") is not None else None,
        max_tokens=int(next(lengths, _TOKENS)),
    )


def _splits(_: Settings, root: Path) -> Mapping[str, Split]:
    return OpenSet(root)


def _samples(root: Path, split: str, settings: Settings) -> Iterator[Sample]:
    from .samples import read_samples

    return read_samples(root, split, settings)


TASK: Final = Task(
    name="lm-eval",
    version="1",
    description="any task of lm-eval that is answered and scored sample by sample: lm-eval:NAME",
    splits=_splits,
    samples=_samples,
    settings=SETTINGS,
    source=DataSource(
        url="https://github.com/EleutherAI/lm-evaluation-harness",
        unchecked="each task is a source of its own, which lm-eval fetches as its own YAML says",
        licence="each task's data has its own",
        by_hand=("only YAML files of tasks of your own; lm-eval gets the data of a task itself, when it is run",),
    ),
)
