"""Asking in batches: the log of a run folder's batches, the queue that fills and collects them, and the model above."""

from harness.batches.log import BatchLog, BatchRecord, list_batches
from harness.batches.model import Asker, BatchedModel, ask_in_batches
from harness.batches.queue import BatchesPending, BatchQueue

__all__ = [
    "Asker",
    "BatchLog",
    "BatchQueue",
    "BatchRecord",
    "BatchedModel",
    "BatchesPending",
    "ask_in_batches",
    "list_batches",
]
