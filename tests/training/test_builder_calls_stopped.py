"""What the hard stops promise of calls and drawings: no byte of a stopped item is left on disk."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from harness_builder.calls.images import ImageStore
from harness_builder.calls.results import DrawingReply, Halted, ModelReply, filter_items, stop_of
from harness_builder.calls.store import CallStore
from harness_builder.stops import Stop

from harness import Drawing, Drawn, Failure
from harness.testing.fakes import PIXEL, FakeBrush
from tests.training.builder_calls import (
    SECRET,
    Sayer,
    ask,
    call_runner,
    drawing,
    harmful,
    on_disk,
    png_of,
    question,
    request_of,
)

pytestmark = pytest.mark.anyio
MINORS = Stop(kind="minors")


async def test_a_stopped_reply_ends_with_its_kind_alone_and_is_never_written(tmp_path: Path) -> None:
    model = Sayer(json.dumps({"question": harmful()}))
    ended = await ask(tmp_path, model)
    assert isinstance(ended, Halted)
    assert (ended.end, ended.why) == ("stopped", "minors")
    assert await ask(tmp_path, model) == ended
    assert model.calls == 1
    assert SECRET.encode() not in on_disk(tmp_path)


async def test_a_stopped_text_that_is_sent_on_is_never_written(tmp_path: Path) -> None:
    async with call_runner(tmp_path, Sayer(harmful())) as runner:
        ended = await runner.send("label", "seeds/1#0", "judge", request_of("Is it?"))
        assert isinstance(ended, Halted)
        assert ended.end == "stopped"
        assert SECRET.encode() not in on_disk(tmp_path)


async def test_a_list_keeps_its_other_items(tmp_path: Path) -> None:
    reply = json.dumps([{"question": "one"}, {"question": harmful()}, {"question": "three"}])
    told = await ask(tmp_path, Sayer(reply), question(keep=filter_items))
    assert isinstance(told, ModelReply)
    assert told.value == [{"question": "one"}, {"stopped": "minors"}, {"question": "three"}]
    assert stop_of(told.value[1]) == MINORS
    assert stop_of(told.value[0]) is None
    assert SECRET.encode() not in on_disk(tmp_path)


async def test_forgetting_an_element_leaves_nothing_of_it_while_the_build_goes_on(tmp_path: Path) -> None:
    brush = FakeBrush(lambda drawing: Drawn(data=png_of("red" if SECRET in drawing.prompt else "blue")))
    reply = json.dumps([{"question": SECRET}, {"question": "kept"}])
    async with call_runner(tmp_path, Sayer(reply), painter=brush) as runner:
        listed = await runner.ask(question(owner="seeds/1"))
        await runner.ask(question("and then", owner="seeds/1#0"))
        prompts = {"seeds/1#0": SECRET, "seeds/1#1": "a blue star"}
        painted = [await runner.paint("draw", owner, drawing(prompt)) for owner, prompt in prompts.items()]
        assert SECRET.encode() in on_disk(tmp_path), "it is there before"
        runner.forget("seeds/1#0")
        runner.redact(listed.call, 0, MINORS)
        disk, left = on_disk(tmp_path), {path.name for path in (tmp_path / "images").rglob("*.png")}
        assert SECRET.encode() not in disk
        assert png_of("red") not in disk
        assert left == {f"{each.sha256}.png" for each in painted[1:] if isinstance(each, DrawingReply)}
        again = await runner.ask(question(owner="seeds/1"))
        assert isinstance(again, ModelReply)
        assert again.value == [{"stopped": "minors"}, {"question": "kept"}]


async def test_a_drawing_that_another_element_has_too_stays(tmp_path: Path) -> None:
    async with call_runner(tmp_path, painter=FakeBrush()) as runner:
        await runner.paint("draw", "seeds/1#0", drawing())
        painted = await runner.paint("draw", "seeds/2#0", drawing())
        assert isinstance(painted, DrawingReply)
        runner.forget("seeds/1#0")
        assert (tmp_path / "images" / painted.sha256[:2] / f"{painted.sha256}.png").is_file()
        runner.forget("seeds/2#0")
        assert not list((tmp_path / "images").rglob("*.png"))


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_drawing_that_is_deleted_while_it_is_written_is_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """Another element drew the same and was stopped; here at the moment its file comes into its place."""
    rename, drops = Path.replace, [ImageStore(tmp_path)]

    def replaced(path: Path, target: Path) -> Path:
        dropped = [drops.pop()] if drops else []
        moved = target if when == "before" else rename(path, target)
        for each in dropped:
            each.drop([target.stem])
        return rename(path, target) if when == "before" else moved

    monkeypatch.setattr(Path, "replace", replaced)
    async with call_runner(tmp_path) as runner:
        painted = await runner.paint("draw", "seeds/1#0", drawing())
    assert isinstance(painted, DrawingReply)
    assert drops == []
    assert [path.stem for path in (tmp_path / "images").rglob("*") if path.is_file()] == [painted.sha256]


async def test_a_drawing_is_made_once_and_lies_under_its_hash(tmp_path: Path) -> None:
    brush = FakeBrush(lambda drawing: Drawn(data=png_of("red"), prompt=f"{drawing.prompt}, in detail"))
    found: list[DrawingReply | Halted] = []
    for _ in range(2):
        async with call_runner(tmp_path, painter=brush) as runner:
            found.append(await runner.paint("draw", "seeds/1#0", drawing()))
    first, second = found
    assert first == second
    assert isinstance(first, DrawingReply)
    assert first.prompt == "a red star, in detail"
    assert (tmp_path / "images" / first.sha256[:2] / f"{first.sha256}.png").read_bytes() == png_of("red")
    assert len(brush.asked) == 1


async def test_another_seed_is_another_drawing(tmp_path: Path) -> None:
    brush = FakeBrush()
    async with call_runner(tmp_path, painter=brush) as runner:
        for seed in (0, 1, 0):
            await runner.paint("draw", "seeds/1#0", drawing(seed=seed))
    assert len(brush.asked) == 2


async def test_a_drawing_whose_file_is_lost_is_made_again(tmp_path: Path) -> None:
    brush = FakeBrush()
    for _ in range(2):
        async with call_runner(tmp_path, painter=brush) as runner:
            painted = await runner.paint("draw", "seeds/1#0", drawing())
            assert isinstance(painted, DrawingReply)
        (path,) = (tmp_path / "images").rglob("*.png")
        path.unlink()
    assert len(brush.asked) == 2


GIF = b"GIF89a" + bytes((1, 0, 1, 0, 0, 0, 0)) + b";"
DRAWN: dict[str, tuple[Drawn | Failure, str, str]] = {
    "blocked": (Failure(outcome="input_blocked", reason="moderation"), "refused", "blocked"),
    "nothing to draw": (Failure(outcome="bad_sample", reason="no_object"), "failed", "not possible: no_object"),
    "stopped": (Drawn(data=PIXEL, prompt=harmful()), "stopped", "minors"),
    "of another type": (Drawn(data=GIF), "failed", "not possible: image/gif"),
}


@pytest.mark.parametrize(("drawn", "end", "why"), DRAWN.values(), ids=DRAWN)
async def test_each_drawing_ends_in_one_way_and_leaves_no_file(
    tmp_path: Path, drawn: Drawn | Failure, end: str, why: str
) -> None:
    brush, found = FakeBrush(lambda _: drawn), list[DrawingReply | Halted]()
    for _ in range(2):
        async with call_runner(tmp_path, painter=brush) as runner:
            found.append(await runner.paint("draw", "seeds/1#0", drawing()))
    assert [(each.end, each.why) for each in found if isinstance(each, Halted)] == [(end, why)] * 2
    assert len(brush.asked) == 1
    assert SECRET.encode() not in on_disk(tmp_path)
    assert not [path for path in (tmp_path / "images").rglob("*") if path.is_file()]


async def test_words_that_the_text_rule_stops_are_not_drawn(tmp_path: Path) -> None:
    brush = FakeBrush()
    async with call_runner(tmp_path, painter=brush) as runner:
        ended = await runner.paint("draw", "seeds/1#0", Drawing(prompt=harmful()))
    assert ended == Halted(end="stopped", why="minors")
    assert brush.asked == []


async def test_drawings_that_a_killed_build_left_without_a_call_are_deleted_by_the_next(tmp_path: Path) -> None:
    sha256 = "ab" * 32
    with CallStore(tmp_path) as store:
        store.name_drawing(sha256)
    place = tmp_path / "images" / "ab"
    place.mkdir(parents=True)
    for name in (f"{sha256}.png", f".{sha256}.png"):
        (place / name).write_bytes(PIXEL)
    (place / "another.png").write_bytes(PIXEL)
    async with call_runner(tmp_path):
        assert [path.name for path in place.iterdir()] == ["another.png"]
