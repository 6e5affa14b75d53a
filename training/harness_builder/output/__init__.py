"""Turns the records of a build into a data set that others can use directly.

written = write_set(made, plan, folder, images)         # the lists and their images
finish_set(CardData(written=written, …), calls)         # provenance, card, licence and manifest: the set is complete
verify(folder)                                          # files that differ from the manifest
push(folder, "someone/new-set")                         # to the hub, private and gated
"""

from .card import finish_set
from .dataset import Calls, SetRecord, WrittenSet, write_set
from .folder import PreviousSet, allow_replacement, check_free, check_name
from .hub import check_push, push
from .manifest import CardData, Difference, verify
from .story import render_story

__all__ = [
    "Calls",
    "CardData",
    "Difference",
    "PreviousSet",
    "SetRecord",
    "WrittenSet",
    "allow_replacement",
    "check_free",
    "check_name",
    "check_push",
    "finish_set",
    "push",
    "render_story",
    "verify",
    "write_set",
]
