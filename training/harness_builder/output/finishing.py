"""What is told about a set that was written: the last file, its manifest, makes it whole."""

from __future__ import annotations

from harness.store.journal import replace
from harness_builder.disk import write_error

from .card import card
from .layout import CARD
from .manifest import write_manifest
from .owning import note_written
from .provenance import write_provenance
from .terms import write_licence
from .values import Calls, Facts


def finish(facts: Facts, calls: Calls) -> None:
    """Write the provenance, the terms, the card, and the manifest over all of them.

    Args:
        facts: all that is told.
        calls: what is kept of a call.

    Raises:
        HarnessError: a file cannot be written.
    """
    folder = facts.written.folder
    try:
        write_provenance(facts.written, facts.plan, calls)
        write_licence(facts.licence, folder)
        replace(folder / CARD, card(facts))
        write_manifest(facts)
        note_written(folder)
    except OSError as error:
        raise write_error(folder, error, "the set cannot be finished") from error
