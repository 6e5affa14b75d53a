"""A whole build with photographs, and what it keeps of them where calls fail, are stopped, or come to no end."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from harness_builder.calls.results import Halted, StepResult
from harness_builder.calls.store import CallStore
from harness_builder.output import render_story
from harness_builder.people import open_review_queue
from harness_builder.photos import selection as stage
from harness_builder.photos.selection import photo_owner
from harness_builder.steps.context import BuildContext
from harness_builder.values import Step

from harness import HarnessError, Image
from harness.drawings import COLORS
from tests.training.configs import in_the_mini_world
from tests.training.photo_sets import drawing, folder
from tests.training.played import PERSON
from tests.training.reviewed import answer_all, review
from tests.training.trained import called

SHAPES = ("star", "ring", "heart", "triangle", "circle", "cross")


def configured(root: Path, **changes: Any) -> Path:
    """A config over a text, a picture, and an album with two photographs of each thing of the mini world."""
    (root / "pictures").mkdir()
    (root / "pictures" / "1.png").write_bytes(drawing("green triangle"))
    album = root / "album"
    things = [f"{color} {shape}" for color in COLORS for shape in SHAPES]
    folder(album, {f"{thing.replace(' ', '-')}-{number}.png": thing for thing in things for number in (0, 1)})
    for thing in things:  # comes first, and does not show it
        (album / f"a-{thing}.png").write_bytes(drawing("green bar", thing))
        (album / f"a-{thing}.txt").write_text(thing)
    sources = [
        {"name": "ideas", "path": "ideas.csv", "licence": "cc0-1.0"},
        {"name": "pictures", "path": "pictures", "layout": "images", "licence": "cc0-1.0"},
    ]
    given: dict[str, Any] = {"sources": sources, "sort": {"review": "none"}, "real": real()}
    return in_the_mini_world(root, **{**given, **changes})


def real(**changes: Any) -> dict[str, Any]:
    return {"name": "album", "path": "album", "licence": "cc-by-4.0", "by": "caption", "count": 2, **changes}


def build(config: Path, *more: str) -> tuple[int, dict[str, Any], str]:
    """`harness build mis` -> its exit code, what it says as JSON, and what it tells."""
    words = ["build", "mis", "--config", str(config), "--out", str(config.parent / "out"), "--json", *more]
    code, shown, said = called(words)
    return code, json.loads(shown) if shown else {}, said


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set that nobody but models decided on."""
    config = configured(tmp_path_factory.mktemp("whole"))
    code, _, said = build(config)
    assert code == 0, said
    return config.parent / "out"


def provenance(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "provenance.jsonl").read_text(encoding="utf-8").splitlines()]


def owned(out: Path) -> dict[str, set[str]]:
    """Whose each call is that the build has kept: a seed's, an element's or a photograph's."""
    found: dict[str, set[str]] = {}
    with closing(sqlite3.connect(out / "work" / "calls.db")) as db:
        for owner, call in db.execute("SELECT owner, call FROM owners JOIN calls USING (id)"):
            found.setdefault(owner, set()).add(call)
    return found


def test_every_call_of_a_record_and_of_its_seed_is_in_its_provenance_and_in_its_story(out: Path) -> None:
    calls, drawn = owned(out), [each for each in provenance(out) if "of" not in each]
    assert {each["source"] for each in drawn} == {"ideas", "pictures"}
    for each in drawn:
        wanted = calls[each["key"]] | calls[each["seed"]]
        assert {call["call"] for call in each["calls"]} == wanted
        assert {"checker", "viewer", "painter"} <= {call["role"] for call in each["calls"]}
        told = render_story(out, each["key"])
        assert [call for call in wanted if call[:15] not in told] == []


def test_every_call_of_what_became_no_record_is_in_its_story_too(out: Path) -> None:
    for owner, calls in owned(out).items():
        if not owner.startswith("photograph-"):
            told = render_story(out, owner)
            assert [call for call in calls if call[:15] not in told] == [], owner


def test_every_photograph_that_was_looked_at_for_a_record_is_told_with_its_calls(out: Path) -> None:
    shown = [each for each in provenance(out) if "of" in each]
    assert len(shown) == 2
    calls = owned(out)
    for each in shown:
        assert [photo["taken"] for photo in each["photographs"]] == [True, True, False, False]
        for photo in each["photographs"]:
            asked = {call["call"] for call in photo["calls"]}
            assert calls[f"photograph-{photo['sha256'][:16]}"] >= asked
            assert [call["role"] for call in photo["calls"]] == ["checker", "viewer"]
        told = render_story(out, each["key"])
        every = [call["call"] for photo in each["photographs"] for call in photo["calls"]]
        assert [call for call in every if call[:15] not in told] == []
        assert "not taken, dropped: it does not show the object: album/a-" in told


def test_a_record_of_photographs_says_nothing_in_its_twin_s_place(out: Path) -> None:
    for each in provenance(out):
        if "of" in each:
            assert not {"probes", "image_harmful", "drawings", "verdict", "accepted", "ends", "calls"} & set(each)
            assert (each["by"], each["reviewers"]) == ("model", [])


def test_a_seed_that_is_a_picture_is_called_one(out: Path) -> None:
    record = next(each for each in provenance(out) if each["source"] == "pictures")
    assert f"seed: {record['seed']} (its image is with the source" in render_story(out, record["key"])


def test_the_card_says_what_is_known_of_the_photographs(out: Path) -> None:
    card = " ".join((out / "README.md").read_text(encoding="utf-8").split())
    assert "so were the images, but for the photographs of `mis_real.json`." in card
    assert "all words of the object's name stand in its caption, and the viewer saw it there" in card
    assert "In the 4 photographs 0 faces were covered, as OpenCV's cascades found them." in card
    assert "**Some faces are missed, and no person was asked about the photographs**" in card
    assert "| dropped | it does not show the object |" in card


def test_people_decide_on_photographs_as_well_and_see_them_once_the_drawings_are_decided(tmp_path: Path) -> None:
    config, out = configured(tmp_path, sort={"review": "people"}), tmp_path / "out"
    code, said, told = build(config)
    assert (code, said["records"]) == (3, {})
    assert "photographs: chosen once people have decided on all drawings" in told
    answer_all(open_review_queue(out), "ann", text_unsafe=False)

    code, said, told = build(config)
    assert (code, "mis_real.json" in said["records"]) == (3, False), told
    assert said["open"][0].startswith("2 wait for people")
    queue = open_review_queue(out)
    first, other = queue.session("ann").progress().open
    assert first.endswith("@real")
    with pytest.raises(HarnessError, match="are those of the drawing"):
        answer(out, first, "fix", question="Is the object in the first image on the object in the second image?")
    answer(out, first, "drop")
    answer(out, other, "keep")

    code, said, told = build(config)
    assert (code, said["records"]["mis_real.json"]) == (3, 1), told
    (record,) = (each for each in provenance(out) if "of" in each)
    assert (record["key"], record["by"], record["reviewers"]) == (other, "people", ["ann"])
    (third,) = open_review_queue(out).session("ann").progress().open
    assert third not in (first, other), "what was dropped leaves its place to another, and nothing is asked again"
    answer(out, third, "drop")
    while (build(config))[0] == 3:
        for key in open_review_queue(out).session("ann").progress().open:
            answer(out, key, "drop")
    card = " ".join((out / "README.md").read_text(encoding="utf-8").split())
    assert "People looked at each record before it came into the set." in card
    assert "\nann says: keep\n" in render_story(out, other)


def answer(out: Path, key: str, decision: str, **said: str) -> None:
    from tests.training.reviewed import review

    open_review_queue(out).session("ann").answer(review(key, "ann", decision, **said))  # type: ignore[arg-type]


class TestWhatIsWrongWithPhotographs:
    """It is told before the first call, and by a dry run."""

    @pytest.mark.parametrize(
        ("wrong", "said"),
        [
            ({"path": "none"}, "there is no such folder or file of photographs"),
            ({"faces": "no.onnx"}, "the model that finds faces cannot be read"),
            ({"by": "clip", "model": "ViT-B-3:foo"}, "open_clip has no model 'ViT-B-3'"),
            ({"by": "clip", "model": "ViT-B-32:foo"}, "open_clip has no weights 'foo' of ViT-B-32"),
            ({"licence": ""}, "there is no photograph in 'album' that may be used (108 left out: no licence)"),
        ],
    )
    def test_is_told_before_anybody_is_asked(self, tmp_path: Path, wrong: dict[str, Any], said: str) -> None:
        config = configured(tmp_path, real=real(**wrong))
        for more in (("--dry-run",), ()):
            code, _, told = build(config, *more)
            assert code == 2
            assert said in told
            assert "Traceback" not in told
        assert not (tmp_path / "out").exists()

    def test_says_that_a_licence_that_is_not_stated_cannot_be_accepted(self, tmp_path: Path) -> None:
        config = configured(tmp_path, real=real(licence=""))
        _, _, told = build(config, "--dry-run", "--accept-licence", "album")
        assert "--accept-licence is for a stated licence" in told

    def test_is_nothing_where_they_can_be_used(self, tmp_path: Path) -> None:
        words = ["build", "mis", "--config", str(configured(tmp_path)), "--out", str(tmp_path / "out"), "--dry-run"]
        code, _, told = called(words)
        assert (code, "album: 108 photographs" in told) == (0, True), told


def test_an_image_costs_a_check_more_than_a_text(tmp_path: Path) -> None:
    one = configured(tmp_path)
    code, shown, _ = called(["build", "mis", "--config", str(one), "--out", str(tmp_path / "out"), "--dry-run"])
    assert code == 0
    (checker,) = (line.split() for line in shown.splitlines() if line.split()[:1] == ["checker"] and line[-1].isdigit())
    # 2 of a text and 3 of an image: two checks of texts, two of drawings, 16 of photographs; and of the image itself
    assert checker[1:] == ["40", "61", "141"]


def test_no_call_that_was_kept_is_made_again(out: Path) -> None:
    def spent() -> int:
        with CallStore(out / "work") as store:
            return sum(each.calls for each in store.total_usage())

    before, set_before = spent(), (out / "provenance.jsonl").read_bytes()
    code, _, said = build(out.parent / "build.yaml")
    assert (code, spent(), (out / "provenance.jsonl").read_bytes()) == (0, before, set_before), said


FAILED = Halted(end="failed", why="error: timeout", again=True)


class Checks:
    """The hard stop by a model, that ends so for all photographs; it passes them where that is None."""

    def __init__(self) -> None:
        self.ended: Halted | HarnessError | None = None

    async def __call__(
        self, context: BuildContext, step: Step, owner: str, *images: Image
    ) -> StepResult[None] | Halted:
        if isinstance(self.ended, HarnessError):
            raise self.ended
        return self.ended or StepResult(value=None)


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> Checks:
    made = Checks()
    monkeypatch.setattr(stage, "check_images", made)
    return made


class TestPhotographsWhoseCallsFailForAReasonThatMayPass:
    def test_leave_the_set_open_until_the_same_command_asks_again(self, tmp_path: Path, checks: Checks) -> None:
        config = configured(tmp_path)
        checks.ended = FAILED
        code, said, told = build(config)
        assert (code, "mis_real.json" in said["records"]) == (3, False), told
        (line,) = said["open"]
        assert line.endswith("failed for a reason that may pass: run the same command again, or with -S finish=true")

        checks.ended = None
        code, said, told = build(config)
        assert (code, said["open"], said["records"]["mis_real.json"]) == (0, [], 2), told

    def test_are_left_out_where_the_set_is_to_be_finished(self, tmp_path: Path, checks: Checks) -> None:
        checks.ended = FAILED
        code, said, told = build(configured(tmp_path), "-S", "finish=true")
        assert (code, said["open"], "mis_real.json" in said["records"]) == (0, [], False), told


class TestNothingStaysOfAPhotograph:
    """What the build keeps of one are its image and its calls."""

    def test_that_another_checker_stops(self, tmp_path: Path, checks: Checks) -> None:
        config, out = configured(tmp_path), tmp_path / "out"
        build(config)
        before, stopped = shown(out), firsts(out)
        assert (len(before), images(out) >= before, len(owners(out) & set(map(photo_owner, before)))) == (4, True, 4)
        checks.ended = Halted(end="stopped", why="person")
        _, said, told = build(config)
        assert "mis_real.json" not in said["records"]
        assert "photographs: 0 records of real" in told
        assert images(out) & before == set()
        assert owners(out) & set(map(photo_owner, stopped)) == set()
        assert [each for each in stopped if in_files(out, each.encode())] == []

    def test_whose_caption_is_one_that_stops_it(self, tmp_path: Path, checks: Checks) -> None:
        config, out = configured(tmp_path), tmp_path / "out"
        build(config)
        before, stopped = shown(out), firsts(out)
        for each in (tmp_path / "album").glob("*.txt"):
            each.write_text(f"{each.read_text(encoding='utf-8')} {PERSON}", encoding="utf-8")
        _, _, told = build(config)
        assert "stopped: person" in told
        assert images(out) & before == set()
        assert owners(out) & set(map(photo_owner, stopped)) == set()

    def test_in_images_that_no_record_shows_any_more_and_it_is_not_asked_about_again(self, tmp_path: Path) -> None:
        out = tmp_path / "out"
        build(configured(tmp_path))
        before, drawn = shown(out), images(out) - shown(out)
        assert drawn
        _, _, told = build(with_photographs(tmp_path, real(count=1)))
        assert len(shown(out)) == 2
        assert images(out) == drawn | shown(out), told
        _, said, _ = build(with_photographs(tmp_path))
        assert ("mis_real.json" in said["records"], images(out)) == (False, drawn)
        calls = owners(out)
        build(with_photographs(tmp_path, real()))
        assert (shown(out), owners(out)) == (before, calls)


def shown(out: Path) -> set[str]:
    """sha256 of the images that records of photographs show."""
    records = [each for each in provenance(out) if "of" in each]
    return {photo["sha256"] for each in records for photo in each["photographs"] if photo["taken"]}


def firsts(out: Path) -> set[str]:
    """Those of the first objects: where they are stopped no second one is looked for."""
    return {each["photographs"][0]["sha256"] for each in provenance(out) if "of" in each}


def images(out: Path) -> set[str]:
    """sha256 of those that the build keeps."""
    return {path.stem for path in (out / "work" / "images").rglob("*") if path.is_file()}


def owners(out: Path) -> set[str]:
    return set(owned(out))


def in_files(out: Path, said: bytes) -> bool:
    return any(said in path.read_bytes() for path in out.rglob("*") if path.is_file())


class TestTheQueueOfPhotographs:
    """What people are asked about is theirs until photographs are chosen anew."""

    def test_outlives_a_build_that_ends_while_photographs_are_looked_at(self, tmp_path: Path, checks: Checks) -> None:
        config, before = asked(tmp_path)
        checks.ended = HarnessError("the limit of calls is reached")
        code, _, told = build(config)
        assert (code, queued(tmp_path)) == (2, before), told

        checks.ended = None
        code, said, told = build(config)
        assert (code, queued(tmp_path)) == (3, before), told
        assert said["open"][0].startswith("2 wait for people")

    def test_holds_only_those_that_were_chosen_last(self, tmp_path: Path, checks: Checks) -> None:
        config, before = asked(tmp_path)
        checks.ended = Halted(end="stopped", why="person")
        _, _, told = build(config)
        assert "photographs: 0 records of real" in told
        drawn = {key for key in open_review_queue(tmp_path / "out").candidates if not key.endswith("@real")}
        assert queued(tmp_path) == set()
        assert {key.removesuffix("@real") for key in before} < drawn, "those that are drawn stay"

    def test_is_empty_once_the_plan_has_no_photographs(self, tmp_path: Path, checks: Checks) -> None:
        _, before = asked(tmp_path)
        assert len(before) == 2
        build(with_photographs(tmp_path))
        assert queued(tmp_path) == set()

    def test_lets_go_of_those_whose_twin_asks_something_else(self, tmp_path: Path, checks: Checks) -> None:
        config, before = asked(tmp_path)
        gone = min(before)
        mend(tmp_path / "out", gone.removesuffix("@real"))
        checks.ended = HarnessError("the limit of calls is reached")
        build(config)
        assert queued(tmp_path) == before - {gone}


def asked(folder: Path) -> tuple[Path, set[str]]:
    """A build whose photographs wait for people: its config, and their keys."""
    config = configured(folder, sort={"review": "people"})
    build(config)
    answer_all(open_review_queue(folder / "out"), "ann", text_unsafe=False)
    build(config)
    return config, queued(folder)


def queued(folder: Path) -> set[str]:
    """Keys of the photographs that people are asked about."""
    return {key for key in open_review_queue(folder / "out").candidates if key.endswith("@real")}


def with_photographs(folder: Path, *asked: dict[str, Any]) -> Path:
    """The same config with these photographs; without any where none are asked for."""
    config = folder / "build.yaml"
    said = yaml.safe_load(config.read_text(encoding="utf-8"))
    said = {name: value for name, value in said.items() if name != "real"}
    said |= dict(zip(("real",), asked, strict=False))
    config.write_text(yaml.safe_dump(said), encoding="utf-8")
    return config


def mend(out: Path, key: str) -> None:
    """Give the question of a candidate other words."""
    session = open_review_queue(out).session("ann")
    question = "May the object in the first image lie close to the object in the second image?"
    session.import_review(review(key, "ann", "fix", question=question, text_unsafe=False))
