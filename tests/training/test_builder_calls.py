"""What the calls of a build promise: each is made once, ends in one way, and of a stopped item no byte is left."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import pytest
from harness_builder.calls.results import (
    DrawingReply,
    Halted,
    ModelQuery,
    ModelReply,
    Unreadable,
    filter_items,
    stop_of,
)
from harness_builder.calls.runner import VERSION, BuildCallRunner
from harness_builder.calls.store import CallStore, ImageStore
from harness_builder.stops import Stop

from harness import Drawing, Drawn, Failure, Request, Response
from harness.rubric.templates import fence, random_marker
from harness.testing.fakes import PIXEL, FakeBrush, Said
from tests.training.builder_calls import (
    SECRET,
    YES,
    Sayer,
    all_wait,
    ask,
    call_runner,
    drawing,
    harmful,
    image,
    on_disk,
    plan,
    png_of,
    question,
    request_of,
)
from tests.training.kinds import of_kind, present

pytestmark = pytest.mark.anyio


async def test_the_second_time_gives_what_the_first_gave_and_asks_nobody(tmp_path: Path) -> None:
    model = Sayer('{"said": ["yes", 1.5, null, "漢字"]}')
    first = of_kind(ModelReply, await ask(tmp_path, model))
    assert first.value == {"said": ["yes", 1.5, None, "漢字"]}
    assert await ask(tmp_path, model) == first
    assert model.calls == 1


async def test_what_is_read_is_the_same_the_first_time_and_later_also_where_json_changes_it(tmp_path: Path) -> None:
    asked = question(read=lambda _: {1: ("a", "b")})
    first, second = [await ask(tmp_path, Sayer(), asked) for _ in range(2)]
    assert first == second
    assert isinstance(first, ModelReply)
    assert first.value == {"1": ["a", "b"]}


def changed(folder: Path) -> dict[str, ModelQuery]:
    """Questions that each differ in one thing from the plain one."""
    (folder / "one.png").write_bytes(PIXEL)
    (folder / "two.png").write_bytes(png_of("blue"))
    return {
        "text": question("Another?"),
        "step": question(step="sort"),
        "draw": question(draw=1),
        "image": question("What goes with a spark?", image(folder, "one.png")),
        "other image": question("What goes with a spark?", image(folder, "two.png")),
    }


async def test_whatever_can_change_the_reply_makes_it_another_question(tmp_path: Path) -> None:
    model = Sayer()
    questions = [question(), *changed(tmp_path).values()]
    async with call_runner(tmp_path / "work", model) as runner:
        for _ in range(2):
            for each in questions:
                await runner.ask(each)
    assert model.calls == len(questions)


async def test_another_model_is_asked_anew(tmp_path: Path) -> None:
    model = Sayer()
    await ask(tmp_path, model)
    await ask(tmp_path, model, of=plan({"writer": "fake/writer", "viewer": "fake/another"}))
    assert model.calls == 2


async def test_two_roles_of_one_model_share_what_they_ask(tmp_path: Path) -> None:
    model = Sayer()
    async with call_runner(tmp_path, model) as runner:
        assert await runner.ask(question(role="viewer")) == await runner.ask(question(role="checker"))
    assert model.calls == 1


async def test_the_random_markers_around_data_do_not_make_another_question(tmp_path: Path) -> None:
    model = Sayer()
    async with call_runner(tmp_path, model) as runner:
        for _ in range(2):
            fenced = fence("text", "What is it?", random_marker())
            await runner.ask(question(fenced))
    assert model.calls == 1


async def test_an_image_is_known_by_its_bytes_wherever_it_lies(tmp_path: Path) -> None:
    for name in ("one.png", "two.png"):
        (tmp_path / name).write_bytes(PIXEL)
    model = Sayer()
    async with call_runner(tmp_path / "work", model) as runner:
        for name in ("one.png", "two.png"):
            await runner.ask(question("What?", image(tmp_path, name)))
    assert model.calls == 1
    assert model.asked[0].images[0].opened.data == PIXEL


async def test_the_digest_of_a_question_never_changes_meaning(tmp_path: Path) -> None:
    """Where it must change, raise VERSION: builds that were made before ask everything anew."""
    told = await ask(tmp_path, Sayer())
    assert VERSION == "c1"
    assert told.call == "k1:ec0496e5f5fa1bb3a3262984e9b6623ebe8e44458d7fa392a7065aeb3c67caf1"


async def many(runner: BuildCallRunner, number: int) -> list[ModelReply | Halted]:
    """The same question of so many owners at once."""
    told: list[ModelReply | Halted] = []

    async def one(owner: str) -> None:
        told.append(await runner.ask(question(owner=owner)))

    async with anyio.create_task_group() as group:
        for each in range(number):
            group.start_soon(one, f"seeds/{each}")
    return told


async def test_the_same_question_asked_by_many_at_once_is_made_once(tmp_path: Path) -> None:
    model = Sayer()
    async with call_runner(tmp_path, model, wait=all_wait) as runner:
        told = await many(runner, 10)
    assert model.calls == 1
    assert [each.value for each in told if isinstance(each, ModelReply)] == [{"said": "yes"}] * 10
    with CallStore(tmp_path) as store:
        kept = present(store.find(told[0].call))
        assert len(kept.owners) == 10, "it is everyone's who asked it"


async def test_many_who_wait_for_a_call_that_fails_for_a_passing_reason_are_all_told(tmp_path: Path) -> None:
    model = Sayer(Failure(outcome="error", reason="http_500", message="no"))
    async with call_runner(tmp_path, model, wait=all_wait) as runner:
        told = await many(runner, 5)
    assert model.calls == 1
    assert [(each.end, each.again) for each in told if isinstance(each, Halted)] == [("failed", True)] * 5


async def test_who_waits_for_a_call_that_is_cancelled_makes_it(tmp_path: Path) -> None:
    model, first, told = Sayer(), anyio.CancelScope(), list[ModelReply | Halted]()

    async def wait(_: Request) -> None:
        if not first.cancel_called:
            await anyio.sleep_forever()

    async def leads(runner: BuildCallRunner) -> None:
        with first:
            await runner.ask(question())

    async def follows(runner: BuildCallRunner) -> None:
        told.append(await runner.ask(question()))

    async with call_runner(tmp_path, model, wait=wait) as runner, anyio.create_task_group() as group:
        for each in (leads, follows):
            group.start_soon(each, runner)
            await anyio.wait_all_tasks_blocked()
        first.cancel()
    assert [type(each) for each in told] == [ModelReply]
    assert model.calls == 1


def flag(text: str, *flags: str) -> Response:
    return Response(text=text, flags=frozenset(flags))


#: name -> what the model says each time, how it ends and why, and how often it is asked
ENDS: dict[str, tuple[Said, str, str, int]] = {
    "blocked before": (Failure(outcome="input_blocked", reason="content_filter"), "refused", "blocked", 1),
    "blocked after": (Failure(outcome="output_blocked", reason="filter", text="half"), "refused", "blocked", 1),
    "flagged": (flag("No.", "refusal"), "refused", "refused", 1),
    "declined in prose": ("I'm sorry, but I cannot help with that.", "refused", "refused", 1),
    "cut off": (flag("and so on and so on", "truncated"), "failed", "cut off", 1),
    "nothing before the limit": (flag("", "truncated"), "failed", "cut off", 1),
    "prose": ("I would gladly say more about it.", "failed", "no JSON", 2),
    "empty": (" ", "failed", "the reply is empty", 2),
    "twice a field": ('{"said": 1, "said": 2}', "failed", "no JSON", 2),
    "bad sample": (Failure(outcome="bad_sample", reason="too_large"), "failed", "not possible: too_large", 1),
}


@pytest.mark.parametrize(("said", "end", "why", "calls"), ENDS.values(), ids=ENDS)
async def test_each_reply_ends_in_one_way_and_is_not_asked_again(
    tmp_path: Path, said: Said, end: str, why: str, calls: int
) -> None:
    model = Sayer(said)
    first = of_kind(Halted, await ask(tmp_path, model))
    assert (first.end, first.why, first.again) == (end, why, False)
    assert await ask(tmp_path, model) == first
    assert model.calls == calls


async def test_json_that_speaks_of_refusing_is_no_refusal(tmp_path: Path) -> None:
    of_kind(ModelReply, await ask(tmp_path, Sayer('{"said": "I cannot help with that."}')))


async def test_prose_that_declines_is_asked_for_once_more_where_prose_is_what_was_asked_for(tmp_path: Path) -> None:
    def short(text: str) -> str:
        if len(text) > 40:
            raise Unreadable("it is too long; say it in a sentence")
        return text

    long, brief = "I'm sorry, but I cannot help with that, for many reasons.", "I cannot help with that."
    asked = question(read=short, prose=True)
    told = of_kind(ModelReply, await ask(tmp_path / "one", Sayer(long, brief), asked))
    assert told.value == brief
    ended = of_kind(Halted, await ask(tmp_path / "two", Sayer(long), asked))
    assert (ended.end, ended.why) == ("failed", "it is too long")


async def test_an_error_may_pass_and_is_asked_again_by_the_next_build(tmp_path: Path) -> None:
    model = Sayer(Failure(outcome="error", reason="http_500", message="no"), YES)
    first = of_kind(Halted, await ask(tmp_path, model))
    assert (first.end, first.why, first.again) == ("failed", "error: http_500", True)
    assert isinstance(await ask(tmp_path, model), ModelReply)


async def test_a_reply_that_cannot_be_read_is_asked_for_once_more_with_what_is_wrong(tmp_path: Path) -> None:
    model = Sayer("Sure: yes.", YES)
    told = of_kind(ModelReply, await ask(tmp_path, model))
    first, second = model.asked
    assert [message.role for message in second.messages] == ["user", "assistant", "user"]
    assert "not one JSON object" in str(second.messages[-1])
    assert second.messages[: len(first.messages)] == first.messages
    with CallStore(tmp_path) as store:
        kept = present(store.find(told.call))
        assert kept.spent.calls == 2


async def test_a_reason_never_holds_what_the_text_rule_stops(tmp_path: Path) -> None:
    def read(text: str) -> Any:
        raise Unreadable(f"this is not it: {text}")

    ended = of_kind(Halted, await ask(tmp_path, Sayer(json.dumps({"said": harmful()})), question(read=read)))
    assert ended.why == "not of the form asked for"
    assert SECRET.encode() not in on_disk(tmp_path)


async def test_an_image_that_cannot_be_opened_fails_before_anybody_is_asked(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(PIXEL[:30])
    model = Sayer()
    ended = await ask(tmp_path / "work", model, question("What?", image(tmp_path, "broken.png")))
    assert ended == Halted(end="failed", why="image: truncated")
    assert model.calls == 0
    (tmp_path / "broken.png").write_bytes(PIXEL)
    assert isinstance(await ask(tmp_path / "work", model, question("What?", image(tmp_path, "broken.png"))), ModelReply)


async def test_a_reply_is_sent_on_as_it_stands(tmp_path: Path) -> None:
    model = Sayer("no JSON at all")
    async with call_runner(tmp_path, model) as runner:
        told = [await runner.send("sort", "seeds/1#0", "checker", request_of("Is it?")) for _ in range(2)]
    assert [each.value for each in told if isinstance(each, ModelReply)] == ["no JSON at all"] * 2
    assert model.calls == 1


async def test_a_request_that_is_sent_is_another_question_than_one_that_is_read(tmp_path: Path) -> None:
    model = Sayer()
    async with call_runner(tmp_path, model) as runner:
        read = await runner.ask(question("Is it?", step="sort"))
        sent = await runner.send("sort", "seeds/1", "viewer", request_of("Is it?"))
    assert isinstance(read, ModelReply)
    assert isinstance(sent, ModelReply)
    assert (read.value, sent.value) == ({"said": "yes"}, YES)


MINORS = Stop(kind="minors")


async def test_a_stopped_reply_ends_with_its_kind_alone_and_is_never_written(tmp_path: Path) -> None:
    model = Sayer(json.dumps({"question": harmful()}))
    ended = of_kind(Halted, await ask(tmp_path, model))
    assert (ended.end, ended.why) == ("stopped", "minors")
    assert await ask(tmp_path, model) == ended
    assert model.calls == 1
    assert SECRET.encode() not in on_disk(tmp_path)


async def test_a_stopped_text_that_is_sent_on_is_never_written(tmp_path: Path) -> None:
    async with call_runner(tmp_path, Sayer(harmful())) as runner:
        ended = of_kind(Halted, await runner.send("label", "seeds/1#0", "judge", request_of("Is it?")))
        assert ended.end == "stopped"
        assert SECRET.encode() not in on_disk(tmp_path)


async def test_a_list_keeps_its_other_items(tmp_path: Path) -> None:
    reply = json.dumps([{"question": "one"}, {"question": harmful()}, {"question": "three"}])
    told = of_kind(ModelReply, await ask(tmp_path, Sayer(reply), question(keep=filter_items)))
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
        again = of_kind(ModelReply, await runner.ask(question(owner="seeds/1")))
        assert again.value == [{"stopped": "minors"}, {"question": "kept"}]


async def test_a_drawing_that_another_element_has_too_stays(tmp_path: Path) -> None:
    async with call_runner(tmp_path, painter=FakeBrush()) as runner:
        await runner.paint("draw", "seeds/1#0", drawing())
        painted = of_kind(DrawingReply, await runner.paint("draw", "seeds/2#0", drawing()))
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
            of_kind(DrawingReply, await runner.paint("draw", "seeds/1#0", drawing()))
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
