from dataclasses import fields, replace
from pathlib import Path

import pytest

from harness.keys import canonical, item, request_key, request_to_json
from harness.types import Files, Generation, Image, ImageContent, Message, Request, Text


class Nowhere:
    """Files that are never read."""

    root = Path("nowhere")

    def read(self, path: str) -> bytes:
        raise AssertionError(path)

    def stamp(self, path: str) -> tuple[str, int, int]:
        raise AssertionError(path)


FILES: Files = Nowhere()
CONTENT = ImageContent(data=b"x", encoded=b"eA==", sha256="ab" * 32, mime="image/png", width=1, height=1)
SEEN = Image(path="a/1.png", files=FILES, content=CONTENT)
REQUEST = Request(messages=(Message(role="user", content=(SEEN, Text(text="What is this?"))),))


def key(request: Request = REQUEST, **more: object) -> str:
    given = {"task": "mis", "version": "1", "model": "k1:m", "epoch": 0, **more}
    return request_key(request=request, **given)  # type: ignore[arg-type]


def test_the_digest_of_a_known_request_never_changes() -> None:
    """Stored answers are found by it: if this fails, raise keys.VERSION and say so in the changelog."""
    assert key() == "k1:54cbca4bdb38b4f3e453e57a040e2b840a1b938dce09128b2e81f7edc166540d"


def test_equal_values_give_equal_text_whatever_their_order() -> None:
    assert canonical({"b": 1, "a": [1.5, None, "ü"]}) == '{"a":[1.5,null,"ü"],"b":1}'


def test_not_a_number_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        canonical(float("nan"))


def test_an_image_is_known_by_its_content_and_not_by_its_place() -> None:
    moved = replace(SEEN, path="elsewhere.png")
    other = replace(SEEN, content=replace(CONTENT, sha256="cd" * 32))
    ask = REQUEST.messages[0]

    def showing(image: Image) -> Request:
        return replace(REQUEST, messages=(replace(ask, content=(image, ask.content[1])),))

    assert key(showing(moved)) == key()
    assert key(showing(other)) != key()


def test_a_missing_image_has_a_key_of_its_own_so_that_the_mended_one_is_asked() -> None:
    missing = replace(SEEN, content=None)
    assert key(replace(REQUEST, messages=(Message(role="user", content=(missing,)),))) != key()


@pytest.mark.parametrize(
    "change",
    [
        {"messages": (Message(role="system", content=(Text(text="s"),)), *REQUEST.messages)},
        {"settings": Generation(temperature=1.0)},
        {"settings": Generation(max_tokens=7)},
        {"settings": Generation(top_p=0.5)},
        {"settings": Generation(seed=1)},
        {"settings": Generation(stop=("\n",))},
        {"schema": {"type": "object"}},
        {"raw": True},
        {"choices": ("A", "B")},
        {"prefill": "Sure"},
    ],
    ids=repr,
)
def test_whatever_is_asked_otherwise_has_another_key(change: dict[str, object]) -> None:
    assert key(replace(REQUEST, **change)) != key()  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["task", "version", "model", "epoch"])
def test_whoever_is_asked_otherwise_has_another_key(name: str) -> None:
    assert key(**{name: 1 if name == "epoch" else "other"}) != key()


def test_every_field_of_a_request_enters_the_key() -> None:
    """A new field of Request that can change an answer must be added to keys.asked."""
    assert set(request_to_json(REQUEST)) == {field.name for field in fields(Request)}


def test_every_field_of_generation_enters_the_key() -> None:
    assert set(request_to_json(REQUEST)["settings"]) == {field.name for field in fields(Generation)}


def test_the_order_of_images_enters_the_key() -> None:
    other = replace(SEEN, content=replace(CONTENT, sha256="cd" * 32))
    one = replace(REQUEST, messages=(Message(role="user", content=(SEEN, other)),))
    two = replace(REQUEST, messages=(Message(role="user", content=(other, SEEN)),))
    assert key(one) != key(two)


def test_an_item_says_who_and_nothing_of_how() -> None:
    assert item("mis", "easy", "17", 2) == "mis/easy/17#2"
