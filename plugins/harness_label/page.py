"""The label page, see `harness.review.page`: an answer at a time, blind to what judges and other annotators say of it.

The judge's verdict on an answer is sent once the annotator has labelled the next one, so that a slip can be repaired
before it is known.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import anyio
import anyio.from_thread

from harness import HarnessError
from harness.review import Answer, ImageState, Skip, normalize_reviewer
from harness.review.page import RELOAD, Change, check_sent, review_app, serve_review_page
from harness.types import Json

from .log import Label
from .queue import LabelQueue, LabelSession

if TYPE_CHECKING:
    from starlette.types import ASGIApp

_REMINDER: Final = 400  # characters of the last question and answer


def serve_labels(queue: LabelQueue, *, ready: Callable[[str], None], annotator: str = "", port: int = 0) -> None:
    """Serve the label page until SIGINT or SIGTERM, or until the annotator finishes it.

    Args:
        queue: to label.
        ready: gets the address to open, which holds the token and the annotator.
        annotator: their name, which is then the only one that may label; empty to ask on the page.
        port: 0 for any free one.

    Raises:
        HarnessError: the name is not allowed, the port cannot be used, or the extra `serve` is missing.
    """
    name = normalize_reviewer(annotator, "annotator") if annotator else ""
    finished = anyio.Event()
    serve_review_page(
        lambda token: label_app(queue, token, annotator=name, finish=lambda: anyio.from_thread.run_sync(finished.set)),
        ready=ready,
        reviewer=name,
        port=port,
        until=finished.wait,
    )


def label_app(
    queue: LabelQueue, token: str, *, annotator: str = "", finish: Callable[[], None] = lambda: None
) -> ASGIApp:
    """The application, for the holder of the token.

    Args:
        queue: to label.
        token: of this start.
        annotator: the only one who may label; empty for anyone.
        finish: ends the server; called in a thread.

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
            raise HarnessError(f"{unknown[0]} is not a field of a label", remedy=RELOAD)
        seconds = fields["seconds"]
        if isinstance(seconds, bool) or not isinstance(seconds, int | float):
            raise HarnessError("seconds is missing or has another type", remedy=RELOAD)
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

    def end(fields: dict[str, Any]) -> dict[str, Any]:
        open_session(fields["reviewer"])
        finish()
        return {"finished": True}

    guidelines = dict.fromkeys(item.guideline for item in queue.items.values() if item.guideline)
    guideline_numbers = {text: number for number, text in enumerate(guidelines)}
    changes = {
        "answer": Change(act=answer, needs={"key": str, "label": str, "reason": str, "seconds": object}),
        "skip": Change(act=skip, needs={"key": str}),
        "undo": Change(act=undo, needs={"key": str}),
        "pause": Change(act=pause, needs={"key": str, "ended": bool}),
        "finish": Change(act=end),
    }
    views = {"ahead": look_ahead}
    return review_app("harness_label", show=show, changes=changes, images=queue.images, token=token, views=views)


def _page_state(
    queue: LabelQueue, session: LabelSession, guidelines: dict[str, int], draft: Label | None = None
) -> dict[str, Json]:
    """All that the page shows: the annotator's progress, the next answer, their last label, and the one before it with
    the judge's."""
    progress = session.progress()
    earlier = next((key for key in reversed(progress.decided) if key != progress.last_key), "")
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
        "last": None if progress.last is None else _describe_said(queue, session, progress.last_key, progress.last),
        "before": _describe_said(queue, session, earlier, progress.decided[earlier])
        if earlier and session.has_seen(earlier)
        else None,
    }


def _describe_said(
    queue: LabelQueue, session: LabelSession, key: str, last: Answer[Label] | Skip | Label
) -> dict[str, Json]:
    """What the annotator said of an answer; with the judge's verdict, if they labelled another one since."""
    item = queue.items[key]
    found: dict[str, Json] = {
        "key": key,
        "question": _cut(item.question),
        "answer": _cut(item.answer),
        "label": None,
        "counts": None,
        "machine": None,
        "seen": session.has_seen(key),
    }
    said = last.payload if isinstance(last, Answer) else last
    if isinstance(said, Label):
        first = session.find_first(key)
        counted = first if said.seen and first is not None else said
        found |= {"label": said.label, "counts": counted.label}
        if found["seen"] and item.machine is not None:
            found["machine"] = {"label": item.machine.label, "reason": item.machine.reason}
    return found


def _list_images(images: tuple[ImageState, ...]) -> list[Json]:
    return [{"sha256": image.sha256, "why": image.why} for image in images]


def _cut(text: str) -> str:
    return text if len(text) <= _REMINDER else f"{text[:_REMINDER]}…"
