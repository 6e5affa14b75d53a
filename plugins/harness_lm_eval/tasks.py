"""The task `lm-eval`: an open set with a split for each task that lm-eval finds.

A sample is a document of lm-eval: its context as one turn, with images at its marks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from harness import (
    BadImage,
    DataSource,
    Generation,
    HarnessError,
    Image,
    Metric,
    Record,
    Request,
    Sample,
    Setting,
    Settings,
    Split,
    Task,
    Verdict,
    prompt,
)
from harness.extras import Untyped
from harness.types import Message, Text

from .loader import LABELS, PAPER, CountedMetric, LoadedTask, load_task

MARK: Final = "<image>"
_TOKENS: Final = 256  #: lm-eval's default
_LENGTHS: Final = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")  #: the first one counts
_MOST_IMAGES: Final = 64  #: more than any lm-eval task shows; each sample's images are counted when it is listed

SETTINGS: Final = (
    Setting(name="num_fewshot", type=int, default=None, identity=True, help="solved examples before each question"),
    Setting(
        name="raw",
        type=bool,
        default=False,
        identity=True,
        help="send the context unchanged, without a chat template; texts only",
    ),
)


class OpenSet(Mapping[str, Split]):
    """A split for any lm-eval task by name; it lists none, since reading them all takes seconds."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def __getitem__(self, name: str) -> Split:
        return build_split(load_task(self._root, name))

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def build_split(found: LoadedTask) -> Split:
    """A task's sampling and metrics, from its configuration."""
    worst = Verdict(label="wrong", axes={name: metric.worst for name, metric in found.metrics.items()})
    return Split(
        n=len(found.task.eval_docs),
        images=_MOST_IMAGES if found.shows_images else 0,
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
    """lm-eval's `gen_kwargs`, read as lm-eval does. The stops are applied to the answer afterwards."""
    # greedy if `do_sample` is false or unset; a temperature alone samples, and sampling alone has temperature 1
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


def read_samples(root: Path, split: str, settings: Settings) -> Iterator[Sample]:
    """The documents of one task, lazily. Raises as `load_task` does, and HarnessError for images in a raw context."""
    found = load_task(root, split)
    found.task.set_fewshot_seed(1234)  # lm-eval's
    for number, doc in found.task.doc_iterator():
        yield Sample(
            id=str(number),
            split=split,
            request=_build_request(found, number, doc, settings),
            target={"answer": str(found.task.doc_to_target(doc))},
        )


def _build_request(found: LoadedTask, number: int, doc: Untyped, settings: Settings) -> Request:
    """lm-eval's context, unchanged (`raw`) or as one user turn. Raises HarnessError for a raw one with images."""
    task, raw = found.task, bool(settings["raw"])
    shots = settings["num_fewshot"]
    shots = (task.config.num_fewshot or 0) if shots is None else int(shots)
    asked: Any = task.construct_requests(
        doc=doc,
        ctx=task.fewshot_context(doc, num_fewshot=shots, gen_prefix=task.doc_to_prefix(doc)),
        metadata=(found.name, number, 1),
        apply_chat_template=not raw,
    )
    instances: list[Any] = asked if found.chooses else [asked]
    context = str(instances[0].args[0])
    visual: list[Any] = (instances[0].args[-1].get("visual") or []) if found.shows_images else []
    files = _DocumentImages(found=found, number=number)
    images = [Image(path=f"{found.name}/{number}/{nth}.png", files=files) for nth in range(len(visual))]
    choices = tuple(str(each.args[1]) for each in instances) if found.chooses else ()
    if raw and images:
        raise HarnessError(
            f"document {number} of lm-eval's {found.name} shows {len(images)} image(s), and a raw context is text only",
            where="-T lm-eval.raw=true",
            remedy="-T lm-eval.raw=false",
        )
    if raw:
        return Request(messages=(Message(role="user", content=(Text(text=context),)),), raw=True, choices=choices)
    # images at the context's marks, or before the text if marks and images differ in number
    texts = context.split(MARK)
    parts: list[str | Image] = [*images, context]
    if len(texts) == len(images) + 1:
        parts = [texts[0]]
        for image, text in zip(images, texts[1:], strict=True):
            parts += [image, text]
        parts = [part for part in parts if part]
    return Request(messages=prompt(*parts).messages, choices=choices)


@dataclass(frozen=True, slots=True, kw_only=True)
class _DocumentImages:
    """The images of one document, recreated on each read; see `harness.types.Files`."""

    found: LoadedTask
    number: int

    @property
    def root(self) -> Path:
        return Path("lm-eval")

    def read(self, path: str) -> bytes:
        """One image as lossless PNG."""
        from harness.drawings import png

        task = self.found.task
        try:
            visual: list[Any] = list(task.doc_to_image(task.eval_docs[self.number]))
            return png(visual[int(Path(path).stem)])
        except Exception as error:  # noqa: BLE001 - lm-eval's code may raise anything
            raise BadImage(path, "unreadable", f"{type(error).__name__}: {error}") from None

    def stamp(self, path: str) -> tuple[str, int, int]:
        """The path, and the documents' revision if lm-eval names it."""
        docs: Any = self.found.task.eval_docs
        revision = str(getattr(docs, "_fingerprint", id(docs)))
        return f"lm-eval:{revision}:{path}", 0, 0


TASK: Final = Task(
    name="lm-eval",
    version="1",
    description="any task of lm-eval that is answered and scored sample by sample: lm-eval:NAME",
    splits=lambda _, root: OpenSet(root),
    samples=read_samples,
    settings=SETTINGS,
    source=DataSource(
        url="https://github.com/EleutherAI/lm-evaluation-harness",
        unchecked="each task has its own source, which lm-eval fetches as the task's YAML says",
        licence="each task's data has its own",
        by_hand=("only YAML files of your own tasks; lm-eval fetches a task's data itself during the run",),
    ),
    paper=PAPER,
)
