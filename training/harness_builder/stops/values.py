"""A hard stop, which holds nothing of what it stopped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

#: sexual content with minors; a named or recognisable real person; operational detail on weapons that kill many; what
#: the check could not tell, which counts as the worst
Kind = Literal["minors", "person", "weapon", "unchecked"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Something was stopped.

    Attributes:
        kind: why; all that is kept of it.
    """

    kind: Kind
