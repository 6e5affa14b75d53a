"""From lm-eval's documents to samples: their contexts as one turn, images where they have a mark."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from harness import BadImage, HarnessError, Image, Request, Sample, Settings, prompt
from harness.drawings import png
from harness.extras import Untyped
from harness.types import Message, Text

from .loader import LoadedTask, load_task

MARK: Final = "<image>"


def read_samples(root: Path, split: str, settings: Settings) -> Iterator[Sample]:
    """The documents of one task, lazily. Raises as `load_task` does, and HarnessError for images in a raw context."""
    found = load_task(root, split)
    found.task.set_fewshot_seed(1234)  # theirs
    for number, doc in found.task.doc_iterator():
        yield Sample(
            id=str(number),
            split=split,
            request=_build_request(found, number, doc, settings),
            target={"answer": str(found.task.doc_to_target(doc))},
        )


def _build_request(found: LoadedTask, number: int, doc: Untyped, settings: Settings) -> Request:
    """Their context as it stands (`raw`), or as one turn of the user. Raises HarnessError for a raw one with images."""
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
    images = _images(found, number, instances[0].args)
    choices = tuple(str(each.args[1]) for each in instances) if found.chooses else ()
    if raw and images:
        raise HarnessError(
            f"document {number} of lm-eval's {found.name} shows {len(images)} image(s), and a raw context is text only",
            where="-T lm-eval.raw=true",
            remedy="-T lm-eval.raw=false",
        )
    if raw:
        return Request(messages=(Message(role="user", content=(Text(text=context),)),), raw=True, choices=choices)
    return Request(messages=prompt(*_parts(context, images)).messages, choices=choices)


def _images(found: LoadedTask, number: int, arguments: tuple[Any, ...]) -> list[Image]:
    visual: list[Any] = (arguments[-1].get("visual") or []) if found.shown else []
    files = _DocumentImages(found=found, number=number)
    return [Image(path=f"{found.name}/{number}/{nth}.png", files=files) for nth in range(len(visual))]


def _parts(context: str, images: list[Image]) -> list[str | Image]:
    """Images where the context has a mark for each; before it where marks and images do not agree."""
    texts = context.split(MARK)
    if len(texts) != len(images) + 1:
        return [*images, context]
    parts: list[str | Image] = [texts[0]]
    for image, text in zip(images, texts[1:], strict=True):
        parts += [image, text]
    return [part for part in parts if part]


@dataclass(frozen=True, slots=True, kw_only=True)
class _DocumentImages:
    """The images of one document, made again when they are asked for; see `harness.types.Files`."""

    found: LoadedTask
    number: int

    @property
    def root(self) -> Path:
        return Path("lm-eval")

    def read(self, path: str) -> bytes:
        """One image as PNG, which keeps each pixel."""
        task = self.found.task
        try:
            visual: list[Any] = list(task.doc_to_image(task.eval_docs[self.number]))
            return png(visual[int(Path(path).stem)])
        except Exception as error:  # noqa: BLE001 - their code raises what it likes
            raise BadImage(path, "unreadable", f"{type(error).__name__}: {error}") from None

    def stamp(self, path: str) -> tuple[str, int, int]:
        """The place, and the revision of the documents as far as theirs say it."""
        docs: Any = self.found.task.eval_docs
        revision = str(getattr(docs, "_fingerprint", id(docs)))
        return f"lm-eval:{revision}:{path}", 0, 0
