"""People decide on items one after the other: their files, their order, their agreement, and their page.

It knows neither what is shown nor what is said of it. Whoever uses it gives a `LogFormat` for the lines, a
`ReviewQueue` that says what a key shows, and the page's own part of `harness.review.page`. `harness.review.votes` has
the majority and the agreement.
"""

from .images import ImageState, ShownImages
from .log import Answer, Entry, LogFormat, LogState, OptOut, Pause, ReviewLog, Skip, Undo, read_text
from .queue import (
    BLOCK,
    BadField,
    OutdatedReview,
    Place,
    ReviewProgress,
    ReviewQueue,
    ReviewSession,
    find_reviewers,
    normalize_reviewer,
)

__all__ = [
    "BLOCK",
    "Answer",
    "BadField",
    "Entry",
    "ImageState",
    "LogFormat",
    "LogState",
    "OptOut",
    "OutdatedReview",
    "Pause",
    "Place",
    "ReviewLog",
    "ReviewProgress",
    "ReviewQueue",
    "ReviewSession",
    "ShownImages",
    "Skip",
    "Undo",
    "find_reviewers",
    "normalize_reviewer",
    "read_text",
]
