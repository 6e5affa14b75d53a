"""The templates of a build, checked before the first call: the package's own, or a file of the user's in its place.

A template is Jinja in a sandbox. What it may show is fixed by name; texts of sources and of models stand in it fenced,
as data. It ends in a line `task: NAME` and one JSON object with the same values, which the mini world's writer reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from harness import Json
from harness_builder.config.plan import Plan, Prompt


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompts:
    """All templates of a build.

    Attributes:
        hashes: name -> sha256 of its text.
        own: names of those that are the package's.
    """

    hashes: Mapping[str, str]
    own: frozenset[str]

    def fill(self, name: Prompt, values: Mapping[str, Json]) -> str:
        """The finished text. The same values give the same text, byte for byte: calls are kept by what was asked."""
        raise NotImplementedError


def load_prompts(plan: Plan) -> Prompts:
    """All templates of a plan.

    Raises:
        HarnessError: a file of the user's cannot be read, uses what it is not given, or never shows what it is about.
    """
    raise NotImplementedError
