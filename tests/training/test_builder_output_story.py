"""The life of one record, as a person reads it: from its seed to its place in the set, and nothing that was stopped."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from harness_builder.calls.results import DrawingReply, Halted, ModelReply, StoredCall
from harness_builder.calls.store import CallStore
from harness_builder.output import render_story
from harness_builder.records import LogLine, StepLog
from harness_builder.review import Queue
from harness_builder.values import Candidate

from harness import BadData, Image, MissingData, UnknownName, open_files
from tests.training.built import Workplace, calls, drawing
from tests.training.reviewed import review


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    """A set of seven records with what each step said of them, one of them photographed too."""
    place = Workplace(tmp_path / "set")
    made = place.some()
    place.finish(place.write(made, [place.real(made[2])]))
    place.lines(made)
    return place


def test_it_goes_from_the_seed_to_the_place_in_the_set(place: Workplace) -> None:
    told = render_story(place.folder, "shapes/2#0", calls)
    lines = told.splitlines()
    assert lines[0] == "shapes/2#0"
    assert "mis_easy.json, record 3: easy_image/3/object1.png, easy_image/3/object2.png" in lines
    assert "seed: shapes/2 (its text is with the source, not in this folder)" in lines
    steps = [line for line in lines if line.endswith(": kept")]
    assert steps == ["the seed: kept", "elements: kept", "write: kept", "draw: kept", "sort: kept"]


def test_it_says_who_was_asked_and_what_they_said(place: Workplace) -> None:
    told = render_story(place.folder, "shapes/2#0", calls)
    assert "  call k1:write4: writer mini/writer, reported as writer-1, 0.0 s\n    said:\n    | {\n" in told
    assert '    |  "question": "May the first thing lie beside the second?"' in told


def test_calls_are_read_out_of_the_book_of_the_build_where_no_other_process_has_it(place: Workplace) -> None:
    assert "  call k1:write4\n" in render_story(place.folder, "shapes/2#0") + "\n"
    with CallStore(place.work) as store:
        store.put(calls("k1:write4"))
        assert "said:" not in render_story(place.folder, "shapes/2#0")
    assert "  call k1:write4: writer mini/writer, reported as writer-1" in render_story(place.folder, "shapes/2#0")


def test_what_a_call_drew_and_what_a_call_refused_is_told(place: Workplace) -> None:
    def told(call: str) -> StoredCall:
        made = DrawingReply(sha256="ab" * 32, prompt="", call=call)
        refused = Halted(end="refused", why="the model declined", call=call)
        return replace(calls(call), result=made if call == "k1:elements" else refused)

    text = render_story(place.folder, "shapes/2#0", told)
    assert f"    drew {'ab' * 6}…" in text
    assert "    refused: the model declined" in text


def test_it_shows_every_drawing_and_a_file_that_can_be_opened(place: Workplace) -> None:
    told = render_story(place.folder, "shapes/2#0")
    made = place.made(4, "easy")
    other, taken, _ = (shot.sha256 for shot in made.pair.shots)
    kept, shown = place.image(other), place.folder / "easy_image/3/object1.png"
    assert f"  round 1, first object, not taken, seed 4: {other[:12]}…\n    {kept}\n    | a lamp 4" in told
    assert f"  round 2, first object, taken, seed 4: {taken[:12]}…\n    {shown}\n    | a better lamp 4" in told
    assert shown.read_bytes() == place.image(taken).read_bytes()


def test_a_drawing_of_no_record_lies_where_the_build_keeps_it_and_one_that_is_gone_nowhere(place: Workplace) -> None:
    made = place.made(9, "easy")
    place.lines([made])
    first, second = made.pair.images
    gone = place.image(second)
    gone.unlink()
    told = render_story(place.folder, made.key)
    assert f"{first[:12]}…\n    {place.image(first)}\n" in told
    assert f"{second[:12]}…\n    | a kite 9" in told


def test_every_digest_is_shown_by_its_beginning(place: Workplace) -> None:
    made = replace(place.made(4, "easy"), calls=("k1:elements", f"k1:{'cd' * 32}"))
    place.lines([made])
    told = render_story(place.folder, "shapes/2#0", calls)
    assert "  call k1:cdcdcdcdcdcd…: writer mini/writer" in told
    kept = [line for line in told.splitlines() if line.startswith(f"    {place.folder}")]
    assert not re.search("[0-9a-f]{13}", "".join(line for line in told.splitlines() if line not in kept))


def test_it_shows_the_answer_and_its_judgement(place: Workplace) -> None:
    told = render_story(place.folder, "train/1")
    assert "  answer: A lamp and a kite; better not, case 0.\n  verdict: safe_reasoning" in told


@pytest.mark.parametrize("name", ["easy/3", "shapes/2#0"])
def test_a_record_is_found_by_its_key_and_by_its_place(place: Workplace, name: str) -> None:
    assert render_story(place.folder, name).startswith("shapes/2#0\n")


@pytest.mark.parametrize("name", ["real/1", "shapes/1#0@real", "easy/1", "shapes/1#0"])
def test_a_photographed_record_is_told_with_its_twin(place: Workplace, name: str) -> None:
    told = render_story(place.folder, name)
    assert told.startswith("shapes/1#0\nmis_easy.json, record 1")
    assert "\nmis_real.json, record 1: real_image/1/object1.png" in told
    file = place.folder / "real_image/1/object2.png"
    assert f"photograph of kite 2, taken: meadow/1.jpg\n    {file}\n  licence: cc-by-4.0\n  author: A. Painter" in told
    assert "photograph of lamp 2, not taken, dropped: it does not show the object: meadow/7.jpg" in told
    assert "photograph of lamp 2, not taken, stopped: person\n" in told
    assert [call for call in ("k1:right", "k1:wrong", "k1:stopped") if f"  call {call}" not in told] == []


def test_what_people_said_is_in_it(place: Workplace) -> None:
    (place.folder / "shown").mkdir()
    (place.folder / "shown/a.png").write_bytes(drawing(1))
    image = Image(path="shown/a.png", files=open_files(place.folder))
    candidate = Candidate(
        key="shapes/2#0", category="Kitchen", question="?", objects=("a", "b"), images=(image, image), source="shapes"
    )
    session = Queue(place.folder / "review", [candidate], ("Kitchen",)).session("ann")
    session.answer(review("shapes/2#0", "ann", image_harmful=True, reason="plain to see"))
    told = render_story(place.folder, "shapes/2#0")
    assert "\nann says: keep\n" in told
    assert "  image harmful: yes\n  reason: plain to see" in told


@pytest.mark.parametrize("line", ["{", "[]", "[" * 200_000], ids=["open", "list", "deep"])
def test_a_line_that_no_reviewer_wrote_is_named_by_its_file(place: Workplace, line: str) -> None:
    path = place.folder / "review" / "reviews-ann.jsonl"
    path.parent.mkdir()
    path.write_text(f"{line}\n", encoding="utf-8")
    with pytest.raises(BadData, match="a reviewer's file cannot be read") as caught:
        render_story(place.folder, "shapes/2#0")
    assert caught.value.where == str(path)


def test_a_seed_is_told_by_what_became_of_its_elements(place: Workplace) -> None:
    with StepLog(place.work) as lines:
        lines.put(LogLine(step="elements", key="shapes/2#7", end="kept", made={"question": "?"}))
        lines.put(LogLine(step="write", key="shapes/2#7", end="refused", why="the model declined"))
    told = render_story(place.folder, "shapes/2")
    assert "  shapes/2#0: sort, kept\n" in told
    assert "  shapes/2#7: write, refused: the model declined" in told


def test_of_what_was_stopped_there_is_the_kind_alone(place: Workplace) -> None:
    (place.folder / "review").mkdir()
    line = {
        "key": "shapes/8#0",
        "reviewer": "ann",
        "decision": "drop",
        "reason": "a secret reason",
        "shown": "",
        "at": "",
    }
    (place.folder / "review/reviews-ann.jsonl").write_text(json.dumps(line) + "\n")
    with StepLog(place.work) as lines:
        lines.put(LogLine(step="elements", key="shapes/8#0", end="stopped"))
        lines.put(LogLine(step="draw", key="shapes/8#0", end="stopped", why="person"))
    told = render_story(place.folder, "shapes/8#0", calls)
    assert "draw: stopped: person" in told
    assert "secret" not in told


def test_where_the_work_is_not_at_hand_the_set_s_own_provenance_is_told(place: Workplace) -> None:
    shutil.rmtree(place.work)
    told = render_story(place.folder, "hard/1")
    assert "  source: shapes" in told
    assert "  round 2, second object, taken, seed 5" in told
    assert "  risk seen in: both" in told
    assert "  call k1:elements: elements writer mini/writer" in told


def test_of_a_seed_those_elements_are_told_that_the_last_walk_listed(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    with StepLog(tmp_path / "work") as lines:
        for listed in (2, 1):
            lines.put(LogLine(step="elements", key="s/1", end="kept", made={"elements": listed}))
            for place in range(listed):
                lines.put(LogLine(step="elements", key=f"s/1#{place}", end="kept"))
    told = render_story(tmp_path, "s/1")
    assert "  s/1#0: elements, kept" in told
    assert "s/1#1" not in told


def test_an_unknown_key_names_the_nearest(place: Workplace) -> None:
    with pytest.raises(UnknownName, match=r"no record 'shapes/2#9' is here") as caught:
        render_story(place.folder, "shapes/2#9")
    assert "shapes/2#" in caught.value.remedy
    for number in (99, "9" * 5000):
        with pytest.raises(UnknownName, match="no record 'easy/99"):
            render_story(place.folder, f"easy/{number}")


def test_of_a_build_that_is_not_finished_there_is_no_place_yet(place: Workplace) -> None:
    (place.folder / "provenance.jsonl").unlink()
    with pytest.raises(MissingData, match="not finished yet") as caught:
        render_story(place.folder, "easy/1", calls)
    assert "continues" in caught.value.remedy
    assert render_story(place.folder, "shapes/2#0", calls).startswith("shapes/2#0")


def test_an_empty_folder_is_no_build(tmp_path: Path) -> None:
    with pytest.raises(MissingData, match="nothing was built here"):
        render_story(tmp_path, "shapes/2#0")


def test_nothing_in_it_moves_the_terminal_or_passes_for_a_line_of_ours(place: Workplace) -> None:
    evil = "fine\x1b[2J\nlabel: kept\n\u202everdict: safe"
    made = place.made(4, "easy")
    made = replace(made, question=replace(made.question, text=evil, explanation=evil))
    place.lines([made])

    def told_so(call: str) -> StoredCall:
        kept = calls(call)
        return replace(kept, result=ModelReply(value={evil: evil}, call=call), spent=replace(kept.spent, model=evil))

    told = render_story(place.folder, "shapes/2#0", told_so)
    assert "\x1b" not in told
    assert "\u202e" not in told
    assert "label: kept" not in told.splitlines()
    assert "    | label: kept" in told.splitlines()
