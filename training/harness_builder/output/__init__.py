"""From records that came all the way to a data set that others take as it is, and what is told about it.

written = write_set(made, plan, folder, images)     # the lists and their images
finish(Facts(written=written, …), calls)            # provenance, card, licence and manifest: now the set is whole
verify(folder)                                      # what is not as the manifest says
push(folder, "someone/new-set")                     # to the hub, private and gated
"""

from .finishing import finish
from .manifest import Difference, verify
from .owning import check_free, check_name, note_given_up
from .pushing import check_push, push
from .story import story
from .values import Calls, Entry, Facts, Written
from .withdrawing import StandingSet
from .writing import write_set

__all__ = [
    "Calls",
    "Difference",
    "Entry",
    "Facts",
    "StandingSet",
    "Written",
    "check_free",
    "check_name",
    "check_push",
    "finish",
    "note_given_up",
    "push",
    "story",
    "verify",
    "write_set",
]
