"""The label page, see `harness.review.page`: an answer at a time, blind to what judges and other annotators say of it.

The judge's verdict on an answer is sent once the annotator has labelled it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from harness import HarnessError
from harness.review import Answer, ImageState, Skip, normalize_reviewer
from harness.review.page import Change, check_sent, review_app, serve_review_page
from harness.types import Json

from .log import Label
from .queue import LabelQueue, LabelSession

if TYPE_CHECKING:
    from starlette.types import ASGIApp

_REMINDER: Final = 400  # characters of the last question and answer


def serve_labels(queue: LabelQueue, *, ready: Callable[[str], None], annotator: str = "", port: int = 0) -> None:
    """Serve the label page until SIGINT or SIGTERM.

    Args:
        queue: to label.
        ready: gets the address to open, which holds the token and the annotator.
        annotator: their name, which is then the only one that may label; empty to ask on the page.
        port: 0 for any free one.

    Raises:
        HarnessError: the name is not allowed, the port cannot be used, or the extra `serve` is missing.
    """
    name = normalize_reviewer(annotator, "annotator") if annotator else ""
    serve_review_page(lambda token: label_app(queue, token, annotator=name), ready=ready, reviewer=name, port=port)


def label_app(queue: LabelQueue, token: str, *, annotator: str = "") -> ASGIApp:
    """The application, for the holder of the token.

    Args:
        queue: to label.
        token: of this start.
        annotator: the only one who may label; empty for anyone.

    Raises:
        HarnessError: the extra `serve` is missing.
        ValueError: the token is empty.
    """

    def open_session(name: str) -> LabelSession:
        session = queue.session(name)
        if annotator and session.reviewer != annotator:
            raise HarnessError(f"this page is {annotator}'s", remedy="start another with --as and your name")
        return session

    def show(name: str) -> dict[str, Any]:
        guidelines = {str(number): text for text, number in guideline_numbers.items()}
        return _page_state(queue, open_session(name), guideline_numbers) | {"guidelines": guidelines}

    def look_ahead(name: str) -> dict[str, Any]:
        later = open_session(name).progress().open[1:2]
        return {"images": [image for key in later for image in _list_images(queue.open_images(key))]}

    def answer(fields: dict[str, Any]) -> dict[str, Any]:
        session = open_session(fields["reviewer"])
        unknown = sorted(set(fields) - {"key", "reviewer", "label", "reason", "seconds"})
        if unknown:
            raise HarnessError(f"{unknown[0]} is no field of a label")
        seconds = fields["seconds"]
        if isinstance(seconds, bool) or not isinstance(seconds, int | float):
            raise HarnessError("seconds is missing or has another type")
        reason = fields["reason"].strip()
        session.answer(
            fields["key"], Label(label=fields["label"], reason=reason, seconds=check_sent([reason], seconds))
        )
        return _page_state(queue, session, guideline_numbers)

    def skip(fields: dict[str, Any]) -> dict[str, Any]:
        session = open_session(fields["reviewer"])
        session.skip(fields["key"])
        return _page_state(queue, session, guideline_numbers)

    def undo(fields: dict[str, Any]) -> dict[str, Any]:
        session = open_session(fields["reviewer"])
        return _page_state(queue, session, guideline_numbers, session.undo(fields["key"]))

    def pause(fields: dict[str, Any]) -> dict[str, Any]:
        session = open_session(fields["reviewer"])
        session.pause(fields["key"], ended=fields["ended"])
        return _page_state(queue, session, guideline_numbers)

    guideline_numbers = {text: number for number, text in enumerate(_list_guidelines(queue))}
    changes = {
        "answer": Change(act=answer, needs={"key": str, "label": str, "reason": str, "seconds": object}),
        "skip": Change(act=skip, needs={"key": str}),
        "undo": Change(act=undo, needs={"key": str}),
        "pause": Change(act=pause, needs={"key": str, "ended": bool}),
    }
    views = {"ahead": look_ahead}
    return review_app("harness_label", show=show, changes=changes, images=queue.images, token=token, views=views)


def _list_guidelines(queue: LabelQueue) -> list[str]:
    return list(dict.fromkeys(item.guideline for item in queue.items.values() if item.guideline))


def _page_state(
    queue: LabelQueue, session: LabelSession, guidelines: dict[str, int], draft: Label | None = None
) -> dict[str, Json]:
    """All that the page shows: the annotator's progress, the next answer, and their last label with the judge's."""
    progress = session.progress()
    shown: dict[str, Json] | None = None
    if progress.open:
        key = progress.open[0]
        item = queue.items[key]
        shown = {
            "key": key,
            "title": item.title,
            "category": item.category,
            "question": item.question,
            "images": _list_images(queue.open_images(key)),
            "gone": queue.describe_gone(key),
            "answer": item.answer,
            "labels": [{"label": label, "meaning": item.meanings.get(label, "")} for label in item.labels],
            "guideline": str(guidelines[item.guideline]) if item.guideline else "",
        }
    return {
        "reviewer": session.reviewer,
        "total": len(queue.items),
        "done": len(progress.decided),
        "skipped": len(progress.skipped),
        "open": len(progress.open),
        "splits": [asdict(each) for each in session.count_splits()],
        "paused": progress.paused,
        "item": shown,
        "draft": None if draft is None else {"label": draft.label, "reason": draft.reason},
        "last": None if progress.last is None else _describe_last(queue, session, progress.last_key, progress.last),
    }


def _describe_last(queue: LabelQueue, session: LabelSession, key: str, last: Answer[Label] | Skip) -> dict[str, Json]:
    """What the annotator said last; with the judge's verdict, if it was a label."""
    item = queue.items[key]
    found: dict[str, Json] = {
        "key": key,
        "question": _cut(item.question),
        "answer": _cut(item.answer),
        "label": None,
        "counts": None,
        "machine": None,
    }
    if isinstance(last, Answer):
        first = session.find_first(key)
        counted = first if last.payload.seen and first is not None else last.payload
        machine = item.machine
        found |= {
            "label": last.payload.label,
            "counts": counted.label,
            "machine": None if machine is None else {"label": machine.label, "reason": machine.reason},
        }
    return found


def _list_images(images: tuple[ImageState, ...]) -> list[Json]:
    return [{"sha256": image.sha256, "why": image.why} for image in images]


def _cut(text: str) -> str:
    return text if len(text) <= _REMINDER else f"{text[:_REMINDER]}…"
