"""The figures of some results: in the page where the plotting library is there, in files where they are asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from harness import HarnessError, Results
from harness.board.leaderboard import boards
from harness.board.means import Mean, means
from harness.board.values import Board

if TYPE_CHECKING:
    from .figures import Figure

_INSTALL: Final = "pip install 'vlm-safety-harness[figures]'"


def drawn(made: Sequence[Board], suites: Sequence[Mean]) -> tuple[Figure, ...]:
    """The page's figures; none where the plotting library is missing, which the page says."""
    if not there():
        return ()
    from .figures import figures

    return figures(made, suites)


def files(results: Sequence[Results]) -> Mapping[str, bytes]:
    """Each figure as SVG and PNG. Raises HarnessError without the plotting library."""
    if not there():
        raise HarnessError("figures need the extra `figures`", remedy=_INSTALL)
    from .figures import files as drawn_files

    return drawn_files(boards(results), means(results))


def there() -> bool:
    """Whether figures can be drawn here."""
    return find_spec("vl_convert") is not None
