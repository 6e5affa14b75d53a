"""Asking in batches: the run folder's log of batches, the desk that fills and collects them, and the model above it."""

from harness.batches.desk import BatchDesk, BatchesPending
from harness.batches.log import BatchLog, BatchRecord, list_batches
from harness.batches.model import Asker, BatchedModel, ask_in_batches

__all__ = [
    "Asker",
    "BatchDesk",
    "BatchLog",
    "BatchRecord",
    "BatchedModel",
    "BatchesPending",
    "ask_in_batches",
    "list_batches",
]
