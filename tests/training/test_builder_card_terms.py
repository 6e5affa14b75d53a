"""What a card says of the licence and the language of its set is right, whatever was accepted."""

from pathlib import Path

import pytest
from harness_builder.licences import check_licences
from harness_builder.seeds import SeedSource

from tests.training.built import Workplace, plan
from tests.training.test_builder_output_card import card, front


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    return Workplace(tmp_path / "set")


@pytest.mark.parametrize(
    ("accepted", "sources", "says"),
    [
        ((), {"a": "cc0-1.0", "b": "cc-by-4.0"}, "cc-by-4.0: the most restrictive of its sources'. This"),
        (
            ("a",),
            {"a": "cc-by-nd-4.0", "b": "mit"},
            "unknown: the licences of its sources leave none for it; see below",
        ),
        (("a",), {"a": "cc-by-sa-4.0", "b": "cc-by-nc-4.0"}, "unknown: the licences of its sources leave none for it"),
        (("mm-safetybench",), {"mm-safetybench": "mit"}, "mit: the most restrictive of its sources', one of which was"),
    ],
)
def test_the_card_says_where_the_licence_of_the_set_is_from(
    place: Workplace, accepted: tuple[str, ...], sources: dict[str, str], says: str
) -> None:
    found = [SeedSource(name=name, path=Path("copy"), licence=licence) for name, licence in sources.items()]
    text = card(place, licence=check_licences(found, accepted))
    assert says in text
    assert text.count("used because") == len(accepted)


@pytest.mark.parametrize(
    ("language", "code"),
    [("German", "de"), ("Deutsch", "de"), ("français", "fr"), ("日本語", "ja"), ("Русский", "ru"), ("pt", "pt")],
)
def test_a_language_is_known_by_its_english_and_by_its_own_name(place: Workplace, language: str, code: str) -> None:
    place.plan = plan(language=language)
    assert front(card(place))["language"] == [code]
