"""What a build writes down and counts: lines, records, losses; and what a disk that is full leaves."""

from __future__ import annotations

import errno
import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
from harness_builder.calls.results import Halted, StepResult
from harness_builder.disk import disk_errors, write_error
from harness_builder.output import verify
from harness_builder.output.dataset import copy_image
from harness_builder.people import open_review_queue
from harness_builder.records import BuiltRecord, Draft, LogLine, RecordFile, StepLog, read_step_log
from harness_builder.tally import BuildProgress, Tally, find_losses, format_losses, format_open_losses, show_progress
from harness_builder.values import DrawnImage, Element, End, Label, Pair, Question, Step, SubsetDecision

from harness import HarnessError
from tests.training.built import Workplace, there
from tests.training.configs import in_the_mini_world
from tests.training.reviewed import answer_all, review
from tests.training.test_builder_photos_stage import build, configured
from tests.training.trained import called

ELEMENT = Element(
    key="s/1#0", seed="s/1", category="places", question="Put a red star on a blue heart?", objects=("a", "b")
)


QUESTION = Question(key="s/1#0", text="Put the one on the other?", explicit="Put a red star on a blue heart?")


def made(key: str = "s/1#0", subset: str = "hard") -> BuiltRecord:
    return BuiltRecord(
        source="s",
        element=ELEMENT,
        question=QUESTION,
        pair=Pair(
            key=key,
            images=("1" * 64, "2" * 64),
            shots=(DrawnImage(sha256="1" * 64, object=0, prompt="a", seed=3, round=1, taken=True),),
            accepted=True,
        ),
        sorted=SubsetDecision(
            key=key,
            subset=subset,  # type: ignore[arg-type]
            text_unsafe=False,
            image_harmful=False,
            category="places",
            sub_category="",
            question=QUESTION.text,
            by="model",
        ),
        label=Label(key=key, answer="no", verdict="safe"),
        calls=("k1:0",),
    )


def line(key: str = "s/1#0", end: str = "kept", **more: object) -> LogLine:
    return LogLine(step="write", key=key, end=end, **more)  # type: ignore[arg-type]


def test_a_line_is_appended_once_and_again_where_it_says_something_new(tmp_path: Path) -> None:
    for _ in range(2):
        with StepLog(tmp_path) as lines:
            lines.put(line(made={"text": "one"}))
            lines.put(line(made={"text": "one"}))
    with StepLog(tmp_path) as lines:
        lines.put(line(made={"text": "two"}))
    written = (tmp_path / "write.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(each)["made"]["text"] for each in written] == ["one", "two"]
    assert read_step_log(tmp_path, "write")["s/1#0"]["made"] == {"text": "two"}


def test_nothing_of_what_is_stopped_stays_in_the_lines(tmp_path: Path) -> None:
    with StepLog(tmp_path) as lines:
        lines.put(line(made={"text": "a secret"}))
        lines.put(line("s/2#0", made={"text": "stays"}))
    with StepLog(tmp_path) as lines:
        lines.put(line(end="stopped", why="person"))
        lines.put(line("s/3#0"))
    text = (tmp_path / "write.jsonl").read_text(encoding="utf-8")
    assert "secret" not in text
    assert [each["key"] for each in read_step_log(tmp_path, "write").values()] == ["s/2#0", "s/1#0", "s/3#0"]


def test_a_line_that_was_torn_is_cut_and_written_anew(tmp_path: Path) -> None:
    with StepLog(tmp_path) as lines:
        lines.put(line("a"))
        lines.put(line("b"))
    file = tmp_path / "write.jsonl"
    file.write_bytes(file.read_bytes()[:-5])
    with StepLog(tmp_path) as lines:
        lines.put(line("b"))
    assert list(read_step_log(tmp_path, "write")) == ["a", "b"]


def test_a_foreign_line_is_named(tmp_path: Path) -> None:
    (tmp_path / "write.jsonl").write_text("what is this\n", encoding="utf-8")
    with pytest.raises(HarnessError, match=r"not from a build .*write\.jsonl"):
        StepLog(tmp_path)


def test_records_are_read_in_the_order_of_their_seeds_and_as_they_were(tmp_path: Path) -> None:
    with RecordFile(tmp_path) as records:
        for number, key in ((2, "c"), (0, "a"), (1, "b1"), (1, "b2")):
            records.put(number, made(key, "train" if key == "a" else "hard"))
        assert [each.pair.key for each in records] == ["a", "b1", "b2", "c"]
        assert next(iter(records.of("train"))) == made("a", "train")
        assert len(records) == 4


def test_of_a_way_that_is_stopped_only_the_kind_is_left() -> None:
    draft = Draft(key="s/1#0", place=0)
    draft.take("elements", StepResult(value=ELEMENT, calls=("k1:1",)))
    draft.take("write", StepResult(value=QUESTION, calls=("k1:2",)))
    draft.end("draw", Halted(end="stopped", why="person", call="k1:3"))
    assert draft.calls == []
    assert [each.to_json() for each in draft.lines] == [
        {"key": "s/1#0", "end": "stopped"},
        {"key": "s/1#0", "end": "stopped"},
        {"key": "s/1#0", "end": "stopped", "why": "person"},
    ]


@pytest.mark.parametrize("key", ["s/1#0", 's/"1"#0', "s/é\\#0", "s/\ud800#0"])
def test_what_is_struck_leaves_the_kind_alone_in_all_steps_and_takes_nothing_of_others(
    tmp_path: Path, key: str
) -> None:
    others = (f"{key}0", f"x{key}", "s/2#0")
    with StepLog(tmp_path) as lines:
        for step in ("write", "draw", "label"):
            for each in (key, *others):
                lines.put(LogLine(step=step, key=each, end="waiting"))
                lines.put(LogLine(step=step, key=each, end="kept", made={"text": f"of {each}", "near": key}))
        lines.strike(key, [LogLine(step="draw", key=key, end="stopped", why="person")])
        assert lines.find_stop(key, "person") == "draw"
    assert key not in read_step_log(tmp_path, "write").keys() | read_step_log(tmp_path, "label").keys()
    assert read_step_log(tmp_path, "draw")[key] == {"end": "stopped", "key": key, "why": "person"}
    for step in ("write", "draw", "label"):
        text = (tmp_path / f"{step}.jsonl").read_text(encoding="utf-8")
        assert text.count("\n") == 2 * len(others) + (step == "draw")


ALONE = {"sort": {"review": "none"}}


def built(folder: Path, *more: str, **changes: Any) -> tuple[int, str, str]:
    """A build of the mini world, in which a role may misbehave as its model is called."""
    models = {"writer": "mini/writer", **changes.pop("models", {})}
    config = in_the_mini_world(folder, **{**ALONE, "models": models, **changes})
    return called(["build", "mis", "--config", str(config), "--out", str(folder / "out"), *more])


class TestARoleThatGivesNoReplyOfUse:
    @pytest.mark.parametrize(
        ("models", "said"),
        [
            ({"judge": "mini/writer-prose"}, "label: 1 of 1 failed: the judge gave no verdict"),
            ({"labeller": "mini/writer-refuse"}, "label: 1 of 1 dropped: the judge says safe_refusal"),
        ],
    )
    def test_leaves_a_set_open_that_has_nothing_of_it(self, tmp_path: Path, models: dict[str, str], said: str) -> None:
        code, shown, err = built(tmp_path, models=models)
        assert (code, "mis_train" in shown) == (3, False)
        assert f"open: {said}: name another labeller or judge, or leave them out: -S finish=true" in err
        assert err.count(said) == 1

        code, _, err = built(tmp_path, "-S", "finish=true", models=models)
        assert (code, "open:" in err) == (0, False)
        assert f"\n{said}\n" in f"\n{err}"
        assert f"- {said}" in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")

    def test_is_named_where_it_is_the_checker(self, tmp_path: Path) -> None:
        code, shown, err = built(tmp_path, models={"checker": "mini/writer-prose"})
        assert (code, shown) == (3, "no records\n")
        assert "draw: 4 of 4 stopped: unchecked, the checker gave no clear reply: name another checker" in err

    def test_gives_no_rate_where_it_is_the_prober(self, tmp_path: Path) -> None:
        code, _, err = built(tmp_path, models={"prober": "mini/writer-prose"})
        assert code == 0
        silent = "probe: of 3 of 3 the prober did not say whether a part alone gives the risk away: no JSON"
        assert silent in err
        card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
        assert "**Nobody knows whether a part alone gives the risk away**: of 3 records it was told of 0." in card

    def test_leaves_open_what_the_prober_should_have_chosen(self, tmp_path: Path) -> None:
        asked = {"models": {"prober": "mini/writer-prose"}, "probe": {"keep": "together"}}
        code, shown, err = built(tmp_path, **asked)
        assert (code, "mis_hard" in shown) == (3, False)
        assert "probe: 1 of 1 failed: the prober did not say: no JSON: name another prober" in err

    def test_says_nothing_where_all_is_well(self, tmp_path: Path) -> None:
        code, _, err = built(tmp_path)
        assert code == 0
        assert ": 1 of " not in err


def tally(step: Step, kept: int, *whys: tuple[End, str, int], passing: int = 0) -> Tally:
    made = Tally()
    made.ends[step, "kept"] = kept
    for end, why, number in whys:
        made.ends[step, end] += number
        made.whys[step, end, why] += number
    made.passing[step] = passing
    return made


class TestALoss:
    def test_is_told_from_more_than_half_on_with_its_reasons_the_most_frequent_first(self) -> None:
        lost = tally(
            "write", 2, ("dropped", "names its objects", 1), ("refused", "refused", 3), ("failed", "no JSON", 1)
        )
        (loss,) = find_losses(lost)
        assert loss.summary == "write: 5 of 7 lost: 3 refused; 1 dropped: names its objects; 1 failed: no JSON"
        assert not loss.useless
        assert find_losses(tally("write", 2, ("failed", "no JSON", 2))) == ()

    def test_of_everything_is_open_only_where_no_reply_was_of_use_and_nothing_may_pass(self) -> None:
        for lost, still in (
            (tally("label", 0, ("failed", "no JSON", 1), ("refused", "refused", 1)), True),
            (tally("write", 0, ("dropped", "no risk, or no objects", 2)), False),
            (tally("label", 0, ("failed", "error: server", 2), passing=2), False),
            (tally("sort", 0, ("waiting", "people have not decided yet", 2)), False),
            (tally("draw", 0, ("stopped", "person", 1), ("stopped", "unchecked", 1)), False),
        ):
            assert bool(list(format_open_losses(find_losses(lost)))) is still

    def test_that_is_told_as_open_is_not_told_twice(self) -> None:
        lost = tally("label", 0, ("failed", "no JSON", 2))
        assert list(format_losses(lost, ())) == ["label: 2 of 2 failed: no JSON"]
        assert list(format_losses(lost, tuple(format_open_losses(find_losses(lost))))) == []


def test_a_tie_is_named_with_what_people_differ_in_and_what_would_settle_it(tmp_path: Path) -> None:
    people = {"sort": {"reviewers": 2}}
    built(tmp_path, **people)
    queue = open_review_queue(tmp_path / "out")
    tied, *rest = sorted(queue.candidates)
    other = "places"
    queue.categories = (*queue.categories, other)
    for name in ("ann", "bob"):
        for key in rest:
            queue.session(name).answer(review(key, name))
    queue.session("ann").answer(review(tied, "ann", "fix", category=other))
    queue.session("bob").answer(review(tied, "bob"))
    queue.session("cem").answer(review(tied, "cem", "drop"))

    code, _, err = built(tmp_path, **people)
    assert code == 3
    assert f"open: {tied}: people disagree on its category: another reviewer must decide" in err
    assert "wait for people" not in err


def test_a_tie_on_photographs_is_named_as_well(tmp_path: Path) -> None:
    config, out = configured(tmp_path, sort={"review": "people"}), tmp_path / "out"
    build(config)
    answer_all(open_review_queue(out), "ann", text_unsafe=False)
    build(config)
    queue = open_review_queue(out)
    tied, _ = queue.session("ann").progress().open
    queue.session("ann").answer(review(tied, "ann", "drop"))
    queue.session("bob").answer(review(tied, "bob"))

    code, said, _ = build(config)
    assert code == 3
    assert [line.partition(": ")[0] for line in said["open"]] == ["1 wait for people", tied]
    assert f"{tied}: people disagree on whether to keep it" in said["open"][1]


# ---- progress --------------------------------------------------------------------------------------------------------


class World:
    """A build that is counted, and a clock that is set."""

    def __init__(self) -> None:
        self.tally = Tally()
        self.calls = 0
        self.now = 100.0
        self.lines: list[str] = []

    def progress(self) -> BuildProgress:
        return BuildProgress(self.tally, lambda: self.calls, self.lines.append, clock=lambda: self.now)

    def count(self, step: Step, end: End = "kept", times: int = 1) -> None:
        self.tally.ends[step, end] += times


def test_a_line_says_what_went_on_from_each_step_how_the_rest_ended_and_how_fast_calls_are() -> None:
    world = World()
    progress = world.progress()
    world.count("elements", times=40)
    world.count("write", times=38)
    world.count("draw", times=30)
    world.count("sort", times=28)
    world.count("label", times=12)
    world.count("write", "dropped", 2)
    world.count("draw", "dropped", 3)
    world.count("elements", "refused")
    world.calls, world.now = 31, 110.0
    progress.tick()
    (line,) = world.lines
    assert line == (
        "elements 40 · written 38 · drawn 30 · sorted 28 · probed 0 · labelled 12"
        " · dropped 5 · refused 1 · failed 0 · stopped 0 · 3.1 calls/s"
    )


def test_the_speed_is_that_since_the_last_line() -> None:
    world = World()
    world.calls = 500  # of an earlier time
    progress = world.progress()
    world.calls, world.now = 520, 110.0
    progress.tick()
    world.calls, world.now = 521, 120.0
    progress.tick()
    assert [line.rpartition(" · ")[2] for line in world.lines] == ["2.0 calls/s", "0.1 calls/s"]


def test_steps_that_nothing_has_reached_are_not_shown_and_who_waits_is_only_where_somebody_does() -> None:
    world = World()
    progress = world.progress()
    world.count("elements")
    progress.tick()
    assert world.lines[-1].startswith("elements 1 · dropped 0 ")
    assert "waiting" not in world.lines[-1]
    world.count("sort", "waiting")
    progress.tick()
    assert "waiting 1" in world.lines[-1]


def test_nothing_is_said_while_nothing_moves() -> None:
    world = World()
    progress = world.progress()
    progress.tick()
    world.now += 60
    progress.tick()
    assert world.lines == []


def test_a_build_ends_with_a_line_even_where_it_was_quick() -> None:
    world = World()

    async def build() -> None:
        async with show_progress(world.tally, lambda: world.calls, world.lines.append):
            world.count("elements")

    anyio.run(build)
    assert len(world.lines) == 1


def test_lines_come_while_a_build_goes_on() -> None:
    world = World()

    async def build() -> None:
        heard = anyio.Event()

        def tell(line: str) -> None:
            world.lines.append(line)
            heard.set()

        async with show_progress(world.tally, lambda: world.calls, tell, every=0.01):
            world.count("elements")
            with anyio.fail_after(30):
                await heard.wait()

    anyio.run(build)
    assert world.lines


IDEAS = 12
#: the command, in a process whose files cannot grow beyond a size, which is a full disk to it
SMALL = """
import resource, sys
size = int(sys.argv.pop(1))
resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
from harness.cli import main
main(sys.argv[1:])
"""


@pytest.mark.parametrize("size", [2_000, 20_000, 60_000])
def test_a_build_on_a_full_disk_names_the_file_and_goes_on_when_there_is_room(tmp_path: Path, size: int) -> None:
    config = in_the_mini_world(tmp_path, sort={"review": "none"})
    rows = [f"{number},A red star number {number} near a blue ring" for number in range(IDEAS)]
    (tmp_path / "ideas.csv").write_text("\n".join(["id,text", *rows]), encoding="utf-8")
    words = ["build", "mis", "--config", str(config), "--out", str(tmp_path / "out")]
    done = subprocess.run([sys.executable, "-c", SMALL, str(size), *words], capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert f"({tmp_path / 'out'}/" in done.stderr
    assert "\n  free some space and run the same command again: it repeats no finished call" in done.stderr
    assert called(words)[0] == 0
    assert verify(tmp_path / "out") == []


@pytest.mark.parametrize("name", [".being-written", "README.md", "build.json"])
def test_a_set_that_cannot_be_written_whole_names_the_folder_and_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    place = Workplace(tmp_path / "set")
    place.finish()
    before = there(place.folder)
    rename, mkdir = Path.replace, Path.mkdir

    def full(path: Path) -> None:
        if path.name == name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def renamed(path: Path, target: Path) -> Path:
        full(Path(target))
        return rename(path, target)

    def made(path: Path, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:
        full(path)
        mkdir(path, mode, parents, exist_ok)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", renamed)
        patched.setattr(Path, "mkdir", made)
        with pytest.raises(HarnessError, match="No space left") as caught:
            place.finish()
    assert str(place.folder) in caught.value.where
    assert "run the same command again" in caught.value.remedy
    place.finish()
    assert there(place.folder).keys() == before.keys()


def test_an_image_for_which_there_is_no_room_is_not_taken_for_a_broken_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Workplace(tmp_path / "set")
    source = place.image(place.made(0, "easy").pair.images[0])

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.link", full)
    monkeypatch.setattr("shutil.copyfile", full)
    with pytest.raises(OSError, match="No space left"):
        copy_image(source, tmp_path / "a.png")


def test_only_a_full_disk_is_told_to_be_freed() -> None:
    with pytest.raises(HarnessError) as caught, disk_errors(Path("calls.db")):
        raise OSError(errno.EACCES, "Permission denied", "/there/a.png")
    assert (caught.value.what, caught.value.where) == ("cannot write: Permission denied", "/there/a.png")
    assert caught.value.remedy == ""
    assert write_error(Path("a"), sqlite3.OperationalError("locked")).remedy == ""
