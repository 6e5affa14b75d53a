"""Under which terms a set may be used, in a line and in the file beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from harness.store.journal import replace
from harness.terminal import one_line
from harness_builder.licences import OutputLicence

from .layout import LICENCE

#: in SPDX's spelling -> the hub's, where it has another one
_HUB: Final[Mapping[str, str]] = {"pddl-1.0": "pddl", "odbl-1.0": "odbl"}


def terms_line(licence: OutputLicence) -> str:
    """The set's terms, short; sources that were accepted without need are not among the accepted."""
    if not licence.accepted:
        return licence.name
    return f"{licence.name}; used in spite of their terms: {', '.join(map(one_line, licence.accepted))}"


def hub_licence(licence: OutputLicence) -> str:
    """The set's licence as the hub names it."""
    return _HUB.get(licence.name, licence.name)


def write_licence(licence: OutputLicence, folder: Path) -> None:
    """Write the terms of the set and of each source; the first line says the set's."""
    lines = [terms_line(licence), "", "This set was built from:"]
    lines += [f"- {one_line(name)}: {one_line(terms)}" for name, terms in licence.sources.items()]
    if licence.accepted:
        lines += ["", "Whoever built it said that they may use: " + ", ".join(map(one_line, licence.accepted)) + "."]
    replace(folder / LICENCE, "\n".join([*lines, ""]))
