"""What the licence of a built set promises."""

from pathlib import Path

import pytest
from harness_builder.licences import KNOWN, RANKS, UNKNOWN, check_licences
from harness_builder.seeds import LAYOUTS, SeedSource

from harness import HarnessError


def source(name: str, licence: str = "", layout: str = "plain") -> SeedSource:
    return SeedSource(name=name, path=Path("copy"), layout=layout, licence=licence)


def known(name: str) -> SeedSource:
    return source(name, layout=name)


@pytest.mark.parametrize("stricter", range(1, 6))
def test_the_output_takes_the_more_restrictive_licence(stricter: int) -> None:
    for milder in range(stricter):
        if (milder, stricter) in {(3, 4), (3, 5)}:
            continue  # these cannot be joined; see below
        left, right = RANKS[milder][0], RANKS[stricter][0]
        assert check_licences([source("a", left), source("b", right)]).name == right
        assert check_licences([source("b", right), source("a", left)]).name == right


def test_each_source_keeps_its_own_licence_beside_the_outputs() -> None:
    found = check_licences([known("advbench"), known("spa-vl"), source("mine", "CC0-1.0")])
    assert found.name == "cc-by-4.0"
    assert found.sources == {"advbench": "mit", "spa-vl": "cc-by-4.0", "mine": "cc0-1.0"}


@pytest.mark.parametrize("licence", ["", "cc-by-nd-4.0", "CC-BY-NC-ND-4.0", "our own terms"])
def test_a_licence_that_forbids_it_or_is_unknown_stops_the_build(licence: str) -> None:
    with pytest.raises(HarnessError) as caught:
        check_licences([source("mine", licence)])
    assert "--accept-licence mine" in caught.value.remedy
    accepted = check_licences([source("mine", licence)], ["mine"])
    assert (accepted.name, accepted.accepted) == (UNKNOWN, ("mine",))


def test_accepting_one_source_does_not_accept_another() -> None:
    with pytest.raises(HarnessError, match="'rtvlm'"):
        check_licences([known("vlsbench"), known("rtvlm")], ["vlsbench"])


def test_accepting_what_is_no_source_is_a_slip_that_is_told() -> None:
    with pytest.raises(HarnessError, match="vlsbensh"):
        check_licences([known("vlsbench")], ["vlsbensh"])


def test_an_unknown_licence_can_be_stated_but_a_known_one_not_replaced() -> None:
    assert check_licences([source("vlsbench", "apache-2.0", "vlsbench")]).name == "apache-2.0"
    with pytest.raises(HarnessError, match=r"known to be under cc-by-nc-4\.0, not mit"):
        check_licences([source("mm", "mit", "mm-safetybench")])
    assert check_licences([source("mm", "mit", "mm-safetybench")], ["mm"]).sources == {"mm": "mit"}


@pytest.mark.parametrize(
    ("one", "other"),
    [("cc-by-sa-4.0", "cc-by-nc-4.0"), ("cc-by-sa-4.0", "cc-by-nc-sa-4.0"), ("cc-by-sa-4.0", "odbl-1.0")],
)
def test_two_licences_that_no_licence_keeps_both_stop_the_build(one: str, other: str) -> None:
    with pytest.raises(HarnessError, match="no licence keeps both"):
        check_licences([source("a", one), source("b", other)])
    accepted = check_licences([source("a", one), source("b", other)], ["a"])
    assert (accepted.name, accepted.accepted) == (UNKNOWN, ("a",)), "no licence keeps both, so the set has none"


def test_accepting_without_need_changes_nothing() -> None:
    plain = check_licences([source("a", "cc0-1.0"), source("b", "cc-by-4.0")])
    assert check_licences([source("a", "cc0-1.0"), source("b", "cc-by-4.0")], ["a", "b"]) == plain
    assert check_licences([source("a", "cc0-1.0"), source("b", "mine alone")], ["a", "b"]).accepted == ("b",)
    clash = [source("a", "cc-by-sa-4.0"), source("b", "cc-by-nc-4.0"), source("c", "mit")]
    assert check_licences(clash, ["a", "b", "c"]).accepted == ("b",), "one of the two is enough"


def test_a_licence_is_known_by_its_common_spellings() -> None:
    found = check_licences([source("a", "CC BY 4.0"), source("b", "Apache License 2.0"), source("c", "CC0")])
    assert found.sources == {"a": "cc-by-4.0", "b": "apache-2.0", "c": "cc0-1.0"}
    assert check_licences([source("mm", "CC BY-NC 4.0", "mm-safetybench")]).name == "cc-by-nc-4.0"


def test_one_that_is_not_in_the_table_is_told_with_the_nearest() -> None:
    with pytest.raises(HarnessError, match="not in the table of licences") as caught:
        check_licences([source("mine", "apache")])
    assert "did you mean apache-2.0?" in caught.value.remedy
    assert "docs/build-safety.md" in caught.value.remedy


@pytest.mark.parametrize("name", [name for name, terms in KNOWN.items() if terms.use == "test"])
def test_a_test_is_never_trained_on_whatever_is_accepted(name: str) -> None:
    with pytest.raises(HarnessError, match="no set to train on"):
        check_licences([source(name, layout="plain")], [name])
    assert check_licences([source(name, layout="plain")], [name], training=False).tests == (name,)


def test_sets_that_test_models_elsewhere_are_named() -> None:
    assert check_licences([known("advbench"), known("spa-vl"), source("mine", "mit")]).tests == ("advbench",)


def test_no_source_and_two_of_one_name_are_refused() -> None:
    with pytest.raises(HarnessError, match="no source"):
        check_licences([])
    with pytest.raises(HarnessError, match="one name"):
        check_licences([source("a", "mit"), source("a", "mit")])


def test_what_is_known_of_every_set_with_a_layout_is_written_down() -> None:
    assert set(LAYOUTS) - {"plain", "images"} <= set(KNOWN)
    ranked = {licence for names in RANKS for licence in names}
    assert {terms.licence for terms in KNOWN.values()} <= ranked
