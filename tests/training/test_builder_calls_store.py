"""What the store of calls promises: a call is stored whole or not at all, and what is deleted is in no byte of it."""

import json
import re
import resource
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from harness_builder.calls.results import CallResult, CallUsage, DrawingReply, Halted, ModelReply, StoredCall
from harness_builder.calls.store import CallStore
from harness_builder.stops import Stop

from harness import HarnessError, Json, Usage
from tests.training.builder_calls import SECRET, on_disk
from tests.training.kinds import present

MINORS = Stop(kind="minors")
SPENT = CallUsage(step="write", role="writer", model="m-1", usage=Usage(input_tokens=12, output_tokens=7), seconds=0.5)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[CallStore]:
    with CallStore(tmp_path) as store:
        yield store


def told(value: Json, call: str = "k1:a", *owners: str) -> StoredCall:
    return kept(ModelReply(value=value, call=call), *owners)


def kept(result: CallResult, *owners: str) -> StoredCall:
    return StoredCall(call=result.call, owners=owners or ("seeds/1",), result=result, spent=SPENT)


RESULTS: dict[str, CallResult] = {
    "object": ModelReply(value={"a": [1, None, "two", 2.5, True]}, call="k1:a"),
    "null": ModelReply(value=None, call="k1:a"),
    "empty text": ModelReply(value="", call="k1:a"),
    "odd text": ModelReply(value="a lone \udc80, and 漢字", call="k1:a"),
    "ended": Halted(end="refused", why="blocked", call="k1:a"),
    "painted": DrawingReply(sha256="ab" * 32, prompt="a star, in detail", call="k1:a"),
}


@pytest.mark.parametrize("result", RESULTS.values(), ids=RESULTS)
def test_what_is_kept_is_found_as_it_was_after_the_book_is_opened_again(tmp_path: Path, result: CallResult) -> None:
    with CallStore(tmp_path) as store:
        store.put(kept(result))
    with CallStore(tmp_path) as store:
        assert store.find("k1:a") == kept(result)
        assert store.find("k1:b") is None


def test_a_call_that_is_kept_again_takes_the_place_of_what_was_kept(store: CallStore) -> None:
    store.put(told("first"))
    store.put(told("second"))
    found = present(store.find("k1:a"))
    assert found.result == ModelReply(value="second", call="k1:a")


def test_what_two_asked_stays_until_both_are_forgotten(store: CallStore) -> None:
    drawn = DrawingReply(sha256="cd" * 32, prompt="", call="k1:a")
    store.put(kept(drawn, "seeds/1"))
    store.share("k1:a", "seeds/2")
    assert store.forget("seeds/1") == ()
    left = present(store.find("k1:a"))
    assert left.owners == ("seeds/2",)
    assert store.forget("seeds/2") == (drawn.sha256,)
    assert store.find("k1:a") is None


def test_a_drawing_that_another_call_names_is_not_given_up(store: CallStore) -> None:
    store.put(kept(DrawingReply(sha256="cd" * 32, prompt="", call="a"), "seeds/1"))
    store.put(kept(DrawingReply(sha256="cd" * 32, prompt="", call="b"), "seeds/2"))
    assert store.forget("seeds/1") == ()


def test_a_call_that_ended_as_stopped_is_not_forgotten_since_it_holds_the_kind_alone(store: CallStore) -> None:
    stopped = Halted(end="stopped", why="minors", call="k1:a")
    store.put(kept(stopped))
    store.forget("seeds/1")
    assert store.find("k1:a") == kept(stopped)


def test_an_item_is_redacted_in_its_place_and_the_others_stay(store: CallStore) -> None:
    store.put(told(["one", SECRET, "three"]))
    store.redact("k1:a", 1, MINORS)
    found = present(store.find("k1:a"))
    assert found.result == ModelReply(value=["one", {"stopped": "minors"}, "three"], call="k1:a")
    assert SECRET.encode() not in on_disk(store.folder)


@pytest.mark.parametrize("value", [["one"], {"a": 1}, "text"])
def test_only_an_item_that_is_there_can_be_redacted(store: CallStore, value: Json) -> None:
    store.put(told(value))
    with pytest.raises(ValueError, match="no item 1"):
        store.redact("k1:a", 1, MINORS)


def test_redacting_a_call_that_is_not_kept_does_nothing(store: CallStore) -> None:
    store.redact("k1:a", 0, MINORS)


SIZES = {"short": (0, 20, 60, 200), "middling": (300, 500, 900), "any": (20, 100, 600, 2000, 6000)}


@pytest.mark.slow
@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
def test_nothing_of_what_was_deleted_is_in_any_byte_whatever_was_kept_and_deleted_before(
    tmp_path: Path, sizes: tuple[int, ...]
) -> None:
    """SQLite leaves copies behind of rows that it moves to other pages; those must hold nothing."""
    random, alive = Random(1), set[str]()
    with CallStore(tmp_path) as store:
        for _ in range(1000):
            call, filling = f"{random.getrandbits(64):016x}", "x" * (random.choice(sizes) // 2)
            store.put(told([f"{filling} {SECRET}-{call} {filling}"], call, f"of {call}"))
            alive.add(call)
            for _ in range(random.choice((0, 0, 1, 3)) if len(alive) > 3 else 0):
                gone = random.choice(sorted(alive))
                alive.remove(gone)
                store.redact(gone, 0, MINORS) if random.random() < 0.5 else store.forget(f"of {gone}")
            assert left(tmp_path) <= alive
        assert len(left(tmp_path)) > 0.5 * len(alive), "what is looked for can be found, where no page ends in it"


def left(folder: Path) -> set[str]:
    """Calls whose secret is in some byte."""
    return {each.decode() for each in re.findall(SECRET.encode() + rb"-([0-9a-f]{16})", on_disk(folder))}


def test_what_calls_took_stays_counted_when_they_are_deleted(tmp_path: Path) -> None:
    with CallStore(tmp_path) as store:
        store.add_usage(SPENT)  # of a call that failed and is not kept
        store.put(told("text"))
        store.forget("seeds/1")
    with CallStore(tmp_path) as store:
        usage = Usage(input_tokens=24, output_tokens=14)
        assert store.total_usage() == (
            CallUsage(step="write", role="writer", model="m-1", calls=2, usage=usage, seconds=1.0),
        )


def test_a_drawing_that_no_call_names_is_known_until_its_file_is_gone(store: CallStore) -> None:
    store.name_drawing("aa")
    store.name_drawing("bb")
    store.put(kept(DrawingReply(sha256="bb", prompt="", call="k1:a")))
    assert store.list_unused_drawings() == ("aa",)
    store.forget_drawings(("aa",))
    assert store.list_unused_drawings() == ()


def test_a_second_process_is_told_to_wait(tmp_path: Path) -> None:
    with CallStore(tmp_path), pytest.raises(HarnessError, match="another process works on this build"):
        CallStore(tmp_path)
    CallStore(tmp_path).close()


@pytest.mark.parametrize(
    "content",
    [b"not a database, but long enough to be looked at " * 9, b"SQLite format 3\0 cut"],
    ids=["foreign", "cut"],
)
def test_a_file_that_is_no_database_is_named_with_what_to_do(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "calls.db").write_bytes(content)
    with pytest.raises(HarnessError, match="cannot be read") as caught:
        CallStore(tmp_path)
    assert "move it away or delete it" in caught.value.remedy
    assert (tmp_path / "calls.db").read_bytes() == content


def test_a_database_of_another_program_is_not_written_to(tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "calls.db")
    other.execute("CREATE TABLE theirs (a)")
    other.close()
    before = (tmp_path / "calls.db").read_bytes()
    with pytest.raises(HarnessError, match="not a store of model calls"):
        CallStore(tmp_path)
    assert (tmp_path / "calls.db").read_bytes() == before


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_torn_book_is_named_with_what_to_do(tmp_path: Path, share: float) -> None:
    with CallStore(tmp_path) as store:
        for number in range(50):
            store.put(told("x" * 900, str(number)))
    whole = (tmp_path / "calls.db").read_bytes()
    (tmp_path / "calls.db").write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(HarnessError, match="cannot be read") as caught:
        CallStore(tmp_path)
    assert caught.value.remedy


def test_a_value_that_another_hand_changed_is_named(tmp_path: Path) -> None:
    with CallStore(tmp_path) as store:
        store.put(told("text"))
    db = sqlite3.connect(tmp_path / "calls.db")
    db.execute("UPDATE said SET value = 'no json'")
    db.commit()
    db.close()
    with CallStore(tmp_path) as store, pytest.raises(HarnessError, match="another program changed it"):
        store.find("k1:a")


@pytest.mark.parametrize(("at", "said"), [("BEGIN", "reads it"), ("BEGIN IMMEDIATE", "writes to it")])
def test_another_program_at_the_book_is_told_with_a_remedy_and_what_was_to_go_goes_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str, said: str
) -> None:
    monkeypatch.setattr("harness_builder.calls.store._PATIENCE", 0.01)
    with CallStore(tmp_path) as store:
        store.put(told(SECRET))
        other = sqlite3.connect(tmp_path / "calls.db", isolation_level=None)
        other.execute(at)
        other.execute("SELECT * FROM calls").fetchall()
        with pytest.raises(HarnessError, match=f"another program {said}") as caught:
            store.forget("seeds/1")
        assert "end the other program" in caught.value.remedy
        other.close()
        store.forget("seeds/1")
        assert SECRET.encode() not in on_disk(tmp_path)


@pytest.fixture
def small_disk() -> Iterator[None]:
    """Files may not grow beyond this size, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("small_disk")
def test_a_full_disk_stops_with_a_remedy_and_what_was_kept_is_still_there(tmp_path: Path) -> None:
    with CallStore(tmp_path) as store:
        store.put(told("before", "k1:a"))
        with pytest.raises(HarnessError, match="cannot write") as caught:
            store.put(told("x" * 200_000, "k1:b"))
        assert "free some space" in caught.value.remedy
        assert store.find("k1:b") is None
        store.put(told("after", "k1:c"))
    with CallStore(tmp_path) as store:
        assert [call for call in ("k1:a", "k1:b", "k1:c") if store.find(call)] == ["k1:a", "k1:c"]


def test_what_json_cannot_hold_is_not_kept(store: CallStore) -> None:
    with pytest.raises(ValueError, match="JSON"):
        store.put(told(float("nan")))
    assert store.find("k1:a") is None
    assert json.dumps(store.total_usage()) == "[]"
