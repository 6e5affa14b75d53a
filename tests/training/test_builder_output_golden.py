"""Cards, records and stories come out byte for byte as they are stored in `builder_golden/`, whatever writes them.

To accept a change that is meant: HARNESS_GOLDEN=write pytest PATH_OF_THIS_FILE, and read the diff.
"""

import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from harness_builder.calls.costs import RoleCosts
from harness_builder.calls.results import DrawingReply, Halted, ModelReply
from harness_builder.licences import OutputLicence
from harness_builder.output import render_story
from harness_builder.plan import ModelChoice
from harness_builder.plan import ReferenceTest as Against
from harness_builder.quality import ComparedTest, Contamination, NearDuplicate, ProbeResult
from harness_builder.records import LogLine, StepLog
from harness_builder.review import agreed
from harness_builder.tally import Tally

from harness import Usage
from tests.training.built import Workplace, calls, label, plan
from tests.training.photo_sets import photos
from tests.training.reviewed import review

GOLDEN = Path(__file__).with_name("builder_golden")
HOSTILE = "<script>alert(1)</script>\n# [x](http://y.z) | `a` ![i](u) @all"


def check(name: str, text: str, folder: Path) -> None:
    """Compare with the stored file; hashes and the test's own folder are not part of it."""
    text = re.sub(r"[0-9a-f]{64}", "SHA256", text).replace(str(folder), "SET") + "\n"
    file = GOLDEN / name
    if os.environ.get("HARNESS_GOLDEN") == "write":
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")


def whole(place: Workplace) -> dict[str, Any]:
    """Everything that a card may tell."""
    place.plan = plan(
        against=(Against(task="mis:easy"), Against(task="mossbench")),
        balance={"Kitchen": 2, "Garden": 5},
        photos=photos(Path("album"), by="clip", model="ViT-B-32:tag", faces=Path("yunet.onnx")),
        best_of=3,
        probe=True,
        language="Deutsch",
    )
    made = place.some(train=2, easy=6, hard=3)
    made[0] = replace(made[0], label=label(made[0].key, 0, refusal="No."))
    made[4] = replace(made[4], pair=replace(made[4].pair, accepted=False))
    told = made[5].probed
    made[5] = replace(made[5], probed=(replace(told[0], risk=True), *told[1:]))
    made[6] = replace(made[6], sorted=replace(made[6].sorted, by="people", reviewers=("ann", "bob")))
    reviews = [review(made[each].key, name) for each in (2, 3, 4) for name in ("ann", "bob", "eve")]
    reviews += [review(made[5].key, "ann", "drop"), review(made[5].key, "bob", text_unsafe=True)]
    tally = Tally(seeds=9, with_elements=7, again=1)
    tally.ends = Counter(
        {
            ("elements", "kept"): 20,
            ("elements", "failed"): 2,
            ("write", "kept"): 18,
            ("write", "refused"): 2,
            ("draw", "kept"): 15,
            ("draw", "stopped"): 3,
            ("sort", "kept"): 11,
            ("sort", "waiting"): 4,
            ("probe", "kept"): 9,
            ("label", "kept"): 1,
            ("label", "failed"): 2,
        }
    )
    tally.whys = Counter(
        {
            ("draw", "stopped", "person"): 2,
            ("draw", "stopped", "unchecked"): 1,
            ("write", "refused", "refused"): 2,
            ("label", "failed", "no answer of use"): 2,
        }
    )
    spent = (
        RoleCosts(
            step="write",
            role="writer",
            made=12,
            usage=Usage(input_tokens=3400, output_tokens=1234567),
            seconds=7.7,
            models=("writer-1", "writer|2"),
            usd=1.5,
        ),
        RoleCosts(step="draw", role="painter", made=8, usage=Usage(), seconds=1234.5, models=(), images=8, usd=None),
    )
    return {
        "written": place.write(made, [place.real(each) for each in made[2:9]]),
        "tally": tally,
        "licence": OutputLicence(
            name="cc-by-nc-4.0",
            sources={"shapes": "cc-by-nc-4.0", "album": "cc-by-4.0"},
            accepted=("shapes",),
            tests=("advbench", "shapes"),
        ),
        "models": {"painter": {"scheme": "mini", "settings": {"steps": 20, "url": "http://inside", "none": None}}},
        "environment": {"python": "3.12.0", "gpu": None, "torch": "2.9.0"},
        "versions": {"mine": "file 0123456789ab", "builder": "house 1.0", "mini": "house 1.0", "paint": "studio 2.1"},
        "spent": spent,
        "near": (NearDuplicate(key="b", of="a", likeness=1.0),),
        "contaminated": (Contamination(key="shapes/9#1", of="mis:easy/17", by="text", likeness=0.914),),
        "compared": (ComparedTest(test="mis:easy", items=20, questions=19, named=3, images=40, broken=1),),
        "worded": (
            Contamination(key=made[3].key, of="mossbench/3", by="text", likeness=0.9),
            Contamination(key="gone#0", of="mossbench/4", by="text", likeness=0.9),
        ),
        "agreed": agreed(reviews),
        "left": {("dropped", "no licence"): 1200, ("stopped", "person"): 1},
        "open": ("label: 2 of 3 failed", "4 wait for people"),
    }


def bare(place: Workplace) -> dict[str, Any]:
    """A build that no record came out of."""
    place.plan = plan(photos=photos(Path("album")), language="Low Saxon of the north")
    return {
        "written": place.write([]),
        "tally": Tally(),
        "spent": (),
        "licence": OutputLicence(name="unknown", sources={"shapes": "unknown"}, accepted=("shapes",)),
    }


def unprobed(place: Workplace) -> dict[str, Any]:
    """Drawings that one person looked at, with one round, photographs by their captions, and silent probes."""
    place.plan = plan(rounds=1, balance=2, photos=photos(Path("album")))
    one, other = place.made(0, "easy"), place.made(1, "hard")
    one = replace(one, sorted=replace(one.sorted, by="people", reviewers=("ann",)))
    other = replace(other, probed=tuple(ProbeResult(key=other.key, part=each.part, risk=None) for each in other.probed))
    one = replace(one, probed=())
    shown = replace(place.real(one), reviewers=("ann",))
    return {"written": place.write([one, other], [shown]), "agreed": agreed([review(one.key, "ann")])}


def hostile(place: Workplace) -> dict[str, Any]:
    """Names that try to be Markdown, HTML or a new line."""
    place.plan = plan(
        name=HOSTILE,
        painter=ModelChoice(ref=HOSTILE),
        models={role: ModelChoice(ref=HOSTILE) for role in ("writer", "viewer", "prober")},
        against=(Against(task=HOSTILE),),
        language=HOSTILE,
        photos=photos(Path("album"), name=HOSTILE, by="clip", model=HOSTILE),
        balance={HOSTILE: 3},
        best_of=2,
    )
    made = place.made(0, "easy")
    made = replace(made, sorted=replace(made.sorted, category=HOSTILE, reviewers=(HOSTILE,)))
    tally = Tally(seeds=1, whys=Counter({("draw", "stopped", HOSTILE): 1, ("write", "failed", HOSTILE): 1}))
    tally.ends = Counter({("draw", "stopped"): 1, ("write", "failed"): 1})
    real = place.real(made)
    real = replace(real, photos=(replace(real.photos[0], licence=HOSTILE), real.photos[1]))
    return {
        "written": place.write([made], [real]),
        "licence": OutputLicence(name="mit", sources={HOSTILE: HOSTILE}, accepted=(HOSTILE,), tests=(HOSTILE,)),
        "contaminated": (Contamination(key=HOSTILE, of=HOSTILE, by="text", likeness=1.0),),
        "worded": (Contamination(key=made.key, of=HOSTILE, by="text", likeness=1.0),),
        "compared": (ComparedTest(test=HOSTILE, items=20, questions=19, named=3, images=40, broken=1),),
        "agreed": agreed([review(made.key, name) for name in (HOSTILE, "bob")]),
        "spent": (
            RoleCosts(step="write", role="writer", made=1, usage=Usage(), seconds=1, models=(HOSTILE,), usd=1.0),
        ),
        "models": {"painter": {"settings": {HOSTILE: HOSTILE}}},
        "versions": {HOSTILE: HOSTILE},
        "environment": {"torch": HOSTILE},
        "left": {("dropped", HOSTILE): 2},
        "identity": HOSTILE,
        "open": (HOSTILE,),
        "tally": tally,
    }


@pytest.mark.parametrize("told", [whole, bare, unprobed, hostile], ids=lambda each: str(each.__name__))
def test_a_card_is_the_same_to_the_byte(tmp_path: Path, told: Callable[[Workplace], dict[str, Any]]) -> None:
    place = Workplace(tmp_path / "set")
    place.finish(**told(place))
    check(f"card-{told.__name__}.md", (place.folder / "README.md").read_text(encoding="utf-8"), place.folder)
    if told is whole:
        for name in ("LICENSE", "provenance.jsonl", "build.json", ".source.json"):
            text = (place.folder / name).read_text(encoding="utf-8")
            check(f"whole-{name.strip('.')}", re.sub(r'(?<="bytes": )\d+', "0", text), place.folder)


def test_a_story_is_the_same_to_the_byte(tmp_path: Path) -> None:
    place = Workplace(tmp_path / "set")
    made = place.some()
    evil = f"fine\x1b[2J\nlabel: kept\n\u202e{HOSTILE} {'long ' * 40}"
    made[4] = replace(made[4], question=replace(made[4].question, text=evil, explanation=evil, changed=True))
    made[0] = replace(made[0], label=label(made[0].key, 0, refusal="No.", text_question="Two words?"))
    place.finish(place.write(made, [place.real(made[2])]))
    place.lines(made)
    with StepLog(place.work) as lines:
        element = {"question": "?", "explicit": "", "objects": ["a", "b"], "odd": [1, {"b": None}]}
        lines.put(LogLine(step="elements", key="shapes/2#7", end="kept", made=element, notes=("one", evil)))
        lines.put(LogLine(step="write", key="shapes/2#7", end="refused", why="the model declined"))
        lines.put(LogLine(step="elements", key="shapes/8#0", end="stopped"))
        lines.put(LogLine(step="draw", key="shapes/8#0", end="stopped", why="person"))
        probes = [
            {"part": "text", "risk": False},
            {"part": "first", "risk": True},
            {"part": "both", "risk": None, "why": "it said nothing"},
            {"part": "second", "risk": None},
        ]
        lines.put(LogLine(step="probe", key="shapes/2#0", end="kept", made={"probes": probes}, calls=("k1:probe",)))
    said = {"key": "shapes/2#0", "reviewer": "ann", "decision": "keep", "reason": evil, "text_unsafe": True}
    (place.folder / "review").mkdir()
    (place.folder / "review/reviews-ann.jsonl").write_text(json.dumps(said) + "\n")
    (place.folder / "review/reviews-bob.jsonl").write_text(
        json.dumps({"key": "shapes/1#0@real", "reviewer": "bob", "decision": "drop"}) + "\n"
    )

    def told(digest: str) -> Any:
        kept = calls(digest)
        if digest == "k1:elements":
            return replace(kept, result=DrawingReply(sha256="ab" * 32, prompt="", call=digest))
        if digest == "k1:wrong":
            return None
        if digest == "k1:probe":
            return replace(kept, result=Halted(end="refused", why=evil, call=digest))
        if digest == "k1:right":
            return replace(
                kept, result=ModelReply(value=[True, evil], call=digest), spent=replace(kept.spent, model=evil)
            )
        return kept

    names = ("shapes/2#0", "real/1", "shapes/2", "shapes/8#0", "train/1", "shapes/2#7")
    stories = [f"=== {name}\n{render_story(place.folder, name, told)}" for name in names]
    shutil.rmtree(place.work)
    stories += [
        f"=== {name} without work\n{render_story(place.folder, name)}" for name in ("hard/1", "train/1", "real/1")
    ]
    check("stories.txt", "\n".join(stories), place.folder)
