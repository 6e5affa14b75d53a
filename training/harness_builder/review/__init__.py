"""Human review of candidates: a page on this machine or a sheet, several reviewers, and their joint decision.

queue = Queue(folder / "review", candidates, categories)
serve_review(queue, ready=print)
merged = merge(queue.reviews())
agreement = agreed(queue.reviews(first=True))
"""

from harness.review import OutdatedReview, ReviewProgress
from harness.review.votes import Agreed, Pair

from .consensus import Decided, Merged, Undecided, agreed, merge
from .page import review_app, serve_review
from .queue import BadQuestion, CandidateSession, ImportCounts, Queue
from .sheet import from_csv, to_csv

__all__ = [
    "Agreed",
    "BadQuestion",
    "CandidateSession",
    "Decided",
    "ImportCounts",
    "Merged",
    "OutdatedReview",
    "Pair",
    "Queue",
    "ReviewProgress",
    "Undecided",
    "agreed",
    "from_csv",
    "merge",
    "review_app",
    "serve_review",
    "to_csv",
]
