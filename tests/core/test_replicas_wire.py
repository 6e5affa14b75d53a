"""What goes between a run and its replicas is what comes out on the other side, and nothing is run to read it."""

import io
from collections.abc import Iterator
from dataclasses import fields
from types import MappingProxyType
from typing import Any

import anyio
import pytest

from harness import errors
from harness.contracts import ModelInfo
from harness.errors import BadImage, HarnessError, MissingData
from harness.images import open_image
from harness.replicas import wire
from harness.replicas.wire import Frame, read_frame, receive_frame
from harness.testing.fakes import fake_image
from harness.types import Failure, Generation, Message, Request, Response, Text, Usage

FRAMES = (
    Frame(kind="open", body={"a": [1, None, "ü\ud800"]}),
    Frame(kind="ask", number=7, body={}, blobs=(b"", b"\x00" * 70_000, b"{")),
    Frame(kind="drop", number=2**40),
)


def bytes_of(*frames: Frame) -> bytes:
    return b"".join(piece for frame in frames for piece in frame.pack())


def arrived(value: Any) -> Any:
    """A JSON value as the other side reads it."""
    frame = read_frame(io.BytesIO(bytes_of(Frame(kind="answer", body=value))))
    assert frame is not None
    return frame.body


def test_frames_are_read_as_they_were_written() -> None:
    pipe = io.BytesIO(bytes_of(*FRAMES))
    assert [read_frame(pipe) for _ in range(4)] == [*FRAMES, None]


def test_a_frame_that_was_cut_off_is_none() -> None:
    whole = bytes_of(FRAMES[1])
    for end in (0, 3, 10, len(whole) - 1):
        assert read_frame(io.BytesIO(whole[:end])) is None


def test_both_sides_read_alike() -> None:
    pipe = io.BytesIO(bytes_of(*FRAMES))

    async def exactly(size: int) -> bytes:
        return pipe.read(size)

    async def body() -> Iterator[Frame]:
        return iter([await receive_frame(exactly) for _ in FRAMES])

    assert list(anyio.run(body)) == list(FRAMES)


def test_what_is_no_json_is_refused_where_it_is_sent() -> None:
    with pytest.raises(TypeError, match="object is not JSON"):
        Frame(kind="ask", body=object()).pack()


def test_a_request_keeps_its_images_bytes_and_the_order_of_its_parts() -> None:
    image = open_image(fake_image("one.png"))
    request = Request(
        messages=(
            Message(role="system", content=(Text(text="be brief"),)),
            Message(role="user", content=(Text(text="a"), image, Text(text="b"), image)),
        ),
        settings=Generation(temperature=0.5, max_tokens=None, top_p=0.9, seed=3, stop=("x", "y")),
        schema=MappingProxyType({"type": "object"}),
        choices=("yes", "no"),
        prefill="Well",
    )
    body, blobs = wire.request_to_json(request)
    assert blobs == (image.opened.data, image.opened.data)
    again = wire.request_from_json(arrived(body), blobs)
    for name in ("settings", "schema", "raw", "choices", "prefill"):
        assert getattr(again, name) == getattr(request, name)
    shapes = [[getattr(part, "text", "image") for part in message.content] for message in again.messages]
    assert shapes == [["be brief"], ["a", "image", "b", "image"]]
    for sent in again.images:
        for field in fields(image.opened):
            assert getattr(sent.opened, field.name) == getattr(image.opened, field.name)
        with pytest.raises(BadImage):
            sent.files.read(sent.path)


def test_an_image_that_was_not_opened_cannot_be_sent() -> None:
    with pytest.raises(ValueError, match="has not been opened"):
        wire.request_to_json(Request(messages=(Message(role="user", content=(fake_image(),)),)))


class OwnError(HarnessError):
    """Of a plugin."""


@pytest.mark.parametrize(
    "answer",
    [
        Response(text="\ud800", reasoning="r", flags=frozenset({"truncated", "refusal"}), usage=Usage(output_tokens=3),
                 model="m", seconds=0.5, choices={"yes": -0.25}, notes=("scaled",)),
        Failure(outcome="output_blocked", reason="r", message="m", text="t", transient=True, throttled=True,
                retry_after=1.0, usage=Usage(input_tokens=1), model="m"),
    ],
)  # fmt: skip
def test_answers_come_back_as_they_were_given(answer: Response | Failure) -> None:
    assert wire.answer_from_json(arrived(wire.answer_to_json(answer))) == answer


def test_an_error_keeps_its_class_where_the_harness_has_it() -> None:
    missing = wire.answer_from_json(arrived(wire.answer_to_json(MissingData("what", where="where", remedy="remedy"))))
    assert isinstance(missing, MissingData)
    assert (missing.what, missing.where, missing.remedy) == ("what", "where", "remedy")
    own = wire.answer_from_json(arrived(wire.answer_to_json(OwnError("what"))))
    assert type(own) is HarnessError
    assert wire.find_error_class("BadImage") is HarnessError, "not in the tree that a user can mend"
    assert wire.find_error_class("annotations") is HarnessError
    assert errors.EndpointDown is wire.find_error_class("EndpointDown")


def test_what_a_model_is_comes_back_as_it_was_said() -> None:
    info = ModelInfo(
        ref="a/b", resolved="c", endpoint="e", max_images=2, local=True, concurrency=16, fingerprint={"f": {"size": 1}},
        can=frozenset({"raw"}), dropped=frozenset({"seed"}), notes=("n",),
    )  # fmt: skip
    assert wire.info_from_json(arrived(wire.info_to_json(info))) == info
