"""Human review of candidates: a page on this machine or a sheet, several reviewers, what they decide together.

queue = Queue(folder / "review", candidates, categories)
serve_review(queue, ready=print)
merged = merge(queue.reviews())
agreement = agreed(queue.reviews(first=True))
"""

from .agreement import Agreed, Pair, agreed
from .desk import Desk, Misworded, Overtaken, Standing
from .merging import Decided, Merged, Undecided, merge
from .queue import Queue, Taken
from .server import review_app, serve_review
from .sheet import from_csv, to_csv

__all__ = [
    "Agreed",
    "Decided",
    "Desk",
    "Merged",
    "Misworded",
    "Overtaken",
    "Pair",
    "Queue",
    "Standing",
    "Taken",
    "Undecided",
    "agreed",
    "from_csv",
    "merge",
    "review_app",
    "serve_review",
    "to_csv",
]
