"""Human review of candidates: a page on this machine or a sheet, several reviewers, and their joint decision.

queue = Queue(folder / "review", candidates, categories)
serve_review(queue, ready=print)
merged = merge(queue.reviews())
agreement = agreed(queue.reviews(first=True))
"""

from .consensus import Agreed, Decided, Merged, Pair, Undecided, agreed, merge
from .page import review_app, serve_review
from .queue import BadQuestion, ImportCounts, OutdatedReview, Queue, ReviewProgress, ReviewSession
from .sheet import from_csv, to_csv

__all__ = [
    "Agreed",
    "BadQuestion",
    "Decided",
    "ImportCounts",
    "Merged",
    "OutdatedReview",
    "Pair",
    "Queue",
    "ReviewProgress",
    "ReviewSession",
    "Undecided",
    "agreed",
    "from_csv",
    "merge",
    "review_app",
    "serve_review",
    "to_csv",
]
