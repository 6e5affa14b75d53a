"""The review page of candidates, see `harness.review.page`.

The model's opinion of a candidate is sent once the candidate is answered.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from harness import HarnessError
from harness.review import Answer, normalize_reviewer
from harness.review.page import RELOAD, Change, check_sent, serve_review_page
from harness.review.page import review_app as build_app
from harness.types import Json
from harness_builder.values import Review

from .log import parse_review
from .queue import CandidateSession, Queue

if TYPE_CHECKING:
    from starlette.types import ASGIApp


def serve_review(queue: Queue, *, ready: Callable[[str], None], reviewer: str = "", port: int = 0) -> None:
    """Serve the review page until SIGINT or SIGTERM.

    Args:
        queue: to review.
        ready: gets the address to open, which holds the token and the reviewer.
        reviewer: their name; empty to ask on the page.
        port: 0 for any free one.

    Raises:
        HarnessError: the name is not allowed, the port cannot be used, or the extra `serve` is missing.
    """
    name = normalize_reviewer(reviewer) if reviewer else ""
    serve_review_page(lambda token: review_app(queue, token), ready=ready, reviewer=name, port=port)


def review_app(queue: Queue, token: str) -> ASGIApp:
    """The application, for the holder of the token.

    Raises:
        HarnessError: the extra `serve` is missing.
        ValueError: the token is empty.
    """

    def show(reviewer: str) -> dict[str, Any]:
        return _page_state(queue, queue.session(reviewer))

    def answer(fields: dict[str, Any]) -> dict[str, Any]:
        texts = {name: value for name, value in fields.items() if isinstance(value, str)}
        texts |= {name: texts[name].strip() for name in ("reason", "question") if name in texts}
        try:
            review = parse_review({**fields, **texts})
        except ValueError as error:
            raise HarnessError(str(error), remedy=RELOAD) from None
        if review.at:
            raise HarnessError("the time or the duration of the decision is out of range", remedy=RELOAD)
        review = replace(review, seconds=check_sent(list(texts.values()), review.seconds))
        session = queue.session(review.reviewer)
        session.answer(review)
        return _page_state(queue, session)

    def skip(fields: dict[str, Any]) -> dict[str, Any]:
        session = queue.session(fields["reviewer"])
        session.skip(fields["key"])
        return _page_state(queue, session)

    def undo(fields: dict[str, Any]) -> dict[str, Any]:
        session = queue.session(fields["reviewer"])
        return _page_state(queue, session, session.undo(fields["key"]))

    def leave_out(fields: dict[str, Any]) -> dict[str, Any]:
        session = queue.session(fields["reviewer"])
        session.leave_out([str(each) for each in fields["categories"]])
        return _page_state(queue, session)

    changes = {
        "answer": Change(act=answer, needs={"key": str, "decision": str}),
        "skip": Change(act=skip, needs={"key": str}),
        "undo": Change(act=undo, needs={"key": str}),
        "out": Change(act=leave_out, needs={"categories": list}),
    }
    return build_app("harness_builder.review", show=show, changes=changes, images=queue.images, token=token)


def _page_state(queue: Queue, session: CandidateSession, draft: Review | None = None) -> dict[str, Json]:
    """All that the page shows: the reviewer's progress, the next candidate, and their last answer."""
    progress = session.progress()
    shown: dict[str, Json] | None = None
    if progress.open:
        candidate = queue.candidates[progress.open[0]]
        images = zip(candidate.objects, queue.images_of(candidate), strict=True)
        shown = {
            "key": candidate.key,
            "category": candidate.category,
            "question": candidate.question,
            "source": candidate.source,
            "images": [{"object": name, "sha256": image.sha256, "why": image.why} for name, image in images],
        }
    last: dict[str, Json] | None = None
    if progress.last is not None:
        candidate = queue.candidates[progress.last_key]
        last = {"key": candidate.key, "question": candidate.question, "decision": "skip", "opinion": {}}
        if isinstance(progress.last, Answer):
            last |= {"decision": progress.last.payload.decision, "opinion": dict(candidate.opinion)}
    names = ("decision", "category", "question", "text_unsafe", "image_harmful", "combination_risky", "reason")
    return {
        "reviewer": session.reviewer,
        "total": len(queue.candidates),
        "decided": len(progress.decided),
        "skipped": len(progress.skipped),
        "left_out": len(progress.left_out),
        "open": len(progress.open),
        "categories": list(queue.categories),
        "out": list(progress.categories),
        "candidate": shown,
        "draft": None if draft is None else {name: getattr(draft, name) for name in names},
        "last": last,
        "then": queue.then,
    }
