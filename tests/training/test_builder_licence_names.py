"""Licences as people spell them become those of the table, and only where there is no doubt."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from harness_builder.licence_names import RANKS, UNKNOWN, normalize_licence, suggest_licence

NAMES = [name for names in RANKS for name in names]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_of_the_table_stays_in_any_case(name: str) -> None:
    assert normalize_licence(name) == normalize_licence(name.upper()) == name


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("CC0", "cc0-1.0"),
        ("CC0 1.0 Universal", "cc0-1.0"),
        ("Creative Commons Zero v1.0 Universal", "cc0-1.0"),
        ("CC BY 4.0", "cc-by-4.0"),
        ("CC-BY 4.0", "cc-by-4.0"),
        ("CC\u2011BY\u20114.0", "cc-by-4.0"),
        ("cc_by_sa_3.0", "cc-by-sa-3.0"),
        ("CC BY-SA-NC 4", "cc-by-nc-sa-4.0"),
        ("Creative Commons Attribution 4.0 International Public License", "cc-by-4.0"),
        ("Attribution-NonCommercial-NoDerivatives 4.0 International", "cc-by-nc-nd-4.0"),
        ("Attribution-ShareAlike 2.0 Generic", "cc-by-sa-2.0"),
        ("https://creativecommons.org/licenses/by-nc/2.0/", "cc-by-nc-2.0"),
        ("Apache 2.0", "apache-2.0"),
        ("Apache License, Version 2.0", "apache-2.0"),
        ("apache2", "apache-2.0"),
        ("MIT License", "mit"),
        ("The MIT License (MIT)", "mit"),
        ("BSD 3-Clause License", "bsd-3-clause"),
        ("Simplified BSD", "bsd-2-clause"),
        ("The Unlicense", "unlicense"),
        ("PDDL", "pddl-1.0"),
        ("ODC-By-1.0", "odc-by"),
        ("Open Data Commons Attribution License v1.0", "odc-by"),
        ("ODbL v1.0", "odbl-1.0"),
        ("Open Database License", "odbl-1.0"),
        ("CDLA Permissive 2.0", "cdla-permissive-2.0"),
    ],
)
def test_a_common_spelling_is_that_of_the_table(written: str, name: str) -> None:
    assert normalize_licence(written) == name


@pytest.mark.parametrize("written", ["not MIT", "非MIT", "MIT?", "MIT or GPL-3.0", "cc-by", "BSD", "GPL-3.0", "ours"])
def test_what_may_be_another_licence_is_left_as_it_was_written(written: str) -> None:
    assert normalize_licence(written) == written.casefold()


@pytest.mark.parametrize("written", ["", " ", "None", "n/a", "UNLICENSED"])
def test_what_says_that_there_is_none_is_none(written: str) -> None:
    assert normalize_licence(written) == ""


def test_a_licence_that_nobody_knows_may_be_called_so() -> None:
    assert normalize_licence("Unknown") == UNKNOWN


@pytest.mark.parametrize(
    ("written", "near"),
    [
        ("apache", "apache-2.0"),
        ("apche 2.0", "apache-2.0"),
        ("cc-by", "cc-by-4.0"),
        ("bsd 4 clause", "bsd-3-clause"),
        ("cc-by-1.0", ""),  # the licence is known, and no other version of it was meant
        ("our own terms", ""),
        ("gpl-3.0", ""),
    ],
)
def test_the_nearest_of_the_table_is_proposed_where_one_is_near(written: str, near: str) -> None:
    assert suggest_licence(normalize_licence(written)) == near


def test_the_page_has_the_table_name_by_name() -> None:
    page = (Path(__file__).parents[2] / "docs" / "build-safety.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d) \| [^|]+ \| ([^|]+) \|$", page, re.MULTILINE)
    assert [int(rank) for rank, _ in rows] == list(range(len(RANKS)))
    assert [tuple(re.findall(r"`([^`]+)`", names)) for _, names in rows] == list(RANKS)
