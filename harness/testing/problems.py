"""The breaches that a check finds, all of them in one error."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager

from harness.contracts import Paper
from harness.plugins.shapes import find_paper_faults
from harness.settings import effective
from harness.types import Setting


class NotConforming(AssertionError):
    """A descriptor breaks its contract; the message lists how."""


class Problems:
    """Collects breaches, each with its place."""

    def __init__(self, about: str) -> None:
        self._about = about
        self._place: list[str] = []
        self.found: list[str] = []

    def add(self, what: str) -> None:
        """Note a breach."""
        line = ": ".join([*self._place, what])
        if line not in self.found:
            self.found.append(line)

    def require(self, holds: object, what: str) -> None:
        """Note a breach unless it holds."""
        if not holds:
            self.add(what)

    def require_type(self, value: object, kinds: type | tuple[type, ...], what: str) -> None:
        """Note a breach unless the value is of one of these types, whatever its annotation promises."""
        self.require(isinstance(value, kinds), f"{what} {type(value).__name__}")

    @contextmanager
    def at(self, place: str) -> Generator[None]:
        """Add a place to every breach found inside; an error that is raised inside is a breach too."""
        self._place.append(place)
        try:
            yield
        except Exception as error:  # noqa: BLE001 - the check goes on to the next place
            self.add(f"raised {type(error).__name__}: {error}")
        finally:
            self._place.pop()

    def raise_found(self) -> None:
        """Raise NotConforming when something was found."""
        if self.found:
            lines = "\n  ".join(self.found[:50])
            raise NotConforming(f"{self._about} breaks its contract in {len(self.found)} places:\n  {lines}")


def check_described(
    problems: Problems, version: str, description: str, settings: Sequence[Setting], paper: Paper | None = None
) -> None:
    """Require a version, a description of one line, described settings with allowed defaults, and a paper to cite."""
    problems.require(version, "has no version")
    problems.require(description and "\n" not in description, "the description is not one line")
    for setting in settings:
        with problems.at(f"setting {setting.name}"):
            problems.require_type(setting.identity, bool, "identity is a")
            problems.require(setting.help and "\n" not in setting.help, "the help is not one line")
            given = {} if setting.default in (None, "") else {setting.name: setting.default}
            effective((setting,), given, owner="default")
    if paper is not None:
        for fault in find_paper_faults(paper):
            problems.add(f"paper: {fault}")
