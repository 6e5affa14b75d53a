"""What a majority of judges says, by their votes alone."""

import pytest

from harness.runs.additions import find_majority
from harness.types import Verdict


@pytest.mark.parametrize(
    ("votes", "expected"),
    [
        ("aab", "a"),
        ("ab", "no majority: a 1, b 1"),
        ("aabb", "no majority: a 2, b 2"),
        ("aabc", "no majority: a 2, b 1, c 1"),
        ("aa-", "a"),
        ("ab-", "j2 has not judged this answer"),
    ],
)
def test_more_than_half_of_all_is_a_majority_and_less_is_none(votes: str, expected: str) -> None:
    found = find_majority({f"j{at}": None if vote == "-" else Verdict(label=vote) for at, vote in enumerate(votes)})
    assert (found.label if isinstance(found, Verdict) else found.message) == expected
