"""The figures of some results: in the page where the plotting library is there, in files where they are asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from harness import HarnessError, Json, Results
from harness.board.leaderboard import boards
from harness.board.means import Mean, means
from harness.board.values import Board

if TYPE_CHECKING:
    from .figures import Figure

_INSTALL: Final = "pip install 'vlm-safety-harness[figures]'"


def drawn(results: Sequence[Results], made: Sequence[Board], suites: Sequence[Mean]) -> tuple[Figure, ...]:
    """The page's figures; none where the plotting library is missing, which the page says."""
    if not there():
        return ()
    from .figures import figures

    return figures(made, suites, bases(results))


def files(results: Sequence[Results]) -> Mapping[str, bytes]:
    """Each figure as SVG and PNG. Raises HarnessError without the plotting library."""
    if not there():
        raise HarnessError("figures need the extra `figures`", remedy=_INSTALL)
    from .figures import files as drawn_files

    return drawn_files(boards(results), means(results), bases(results))


def there() -> bool:
    """Whether figures can be drawn here."""
    return find_spec("vl_convert") is not None


def bases(results: Sequence[Results]) -> dict[str, str]:
    """Model -> the model it was tuned from, of those among these results."""
    refs = {str(each["model"]["ref"]) for each in results}
    declared = {str(each["model"]["ref"]): _tuned_from(each["model"]) for each in results}
    return {tuned: base for tuned, base in declared.items() if base in refs}


def _tuned_from(model: Mapping[str, Json]) -> str:
    training: Mapping[str, Json] = model.get("training") or {}
    return str(training.get("tuned_from") or "")
