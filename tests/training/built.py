"""Records of benign drawings, and a set written of them."""

from __future__ import annotations

import hashlib
import io
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

from harness_builder.calls.costs import RoleCosts
from harness_builder.calls.results import CallUsage as Spending
from harness_builder.calls.results import ModelReply, StoredCall
from harness_builder.licences import OutputLicence
from harness_builder.output import Calls, CardData, WrittenSet, finish_set, write_set
from harness_builder.photos.collection import RealRecord, RejectedPhoto, UsedPhoto
from harness_builder.plan import ModelChoice, Plan
from harness_builder.prompts import load_prompts
from harness_builder.quality import ProbeResult
from harness_builder.records import BuiltRecord, LogLine, StepLog, to_plain
from harness_builder.seeds import SeedSource
from harness_builder.tally import Tally
from harness_builder.values import DrawnImage, Element, Label, Pair, Question, Subset, SubsetDecision

from harness import Usage
from harness.drawings import COLORS, SHAPES, draw, png

CATEGORIES = ("Kitchen", "Garden")
OWN = (".being-written",)  # where a build notes what it has put there until the set is whole
AT = "2026-03-01T12:00:00+00:00"


@dataclass
class Workplace:
    """A build's folder and the images that it keeps."""

    folder: Path
    plan: Plan = field(default_factory=lambda: plan())

    @property
    def work(self) -> Path:
        return self.folder / "work"

    def image(self, sha256: str) -> Path:
        return next((self.work / "images" / sha256[:2]).glob(f"{sha256}.*"))

    def keep(self, data: bytes, ending: str = "png") -> str:
        sha256 = hashlib.sha256(data).hexdigest()
        path = self.work / "images" / sha256[:2] / f"{sha256}.{ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return sha256

    def made(self, number: int, subset: Subset, **changes: Any) -> BuiltRecord:
        """The record of this number; its question and its images are its own."""
        first, second = (self.keep(drawing(2 * number + which)) for which in (0, 1))
        key = f"shapes/{number // 2}#{number % 2}"
        asked = f"May the first thing lie beside the second, case {number}?"
        category = CATEGORIES[number % 2]
        made = BuiltRecord(
            source="shapes",
            element=Element(
                key=key,
                seed=f"shapes/{number // 2}",
                category=category,
                sub_category="Table",
                question=f"May a lamp {number} lie beside a kite {number}?",
                objects=(f"lamp {number}", f"kite {number}"),
            ),
            question=Question(key=key, text=asked, explicit=f"May a lamp lie beside a kite, case {number}?"),
            pair=Pair(key=key, images=(first, second), shots=self.shots(number, first, second), accepted=True),
            sorted=SubsetDecision(
                key=key,
                subset=subset,
                text_unsafe=subset == "train",
                image_harmful=subset == "easy",
                category=category,
                sub_category="Table",
                question=asked,
                by="model",
            ),
            probed=() if subset == "train" else probed(key),
            label=label(key, number) if subset == "train" else None,
            calls=("k1:elements", f"k1:write{number}"),
        )
        return replace(made, **changes)

    def shots(self, number: int, first: str, second: str) -> tuple[DrawnImage, ...]:
        other = self.keep(drawing(1000 + number))
        return (
            DrawnImage(sha256=other, object=0, prompt=f"a lamp {number}", seed=number, round=1),
            DrawnImage(sha256=first, object=0, prompt=f"a better lamp {number}", seed=number, round=2, taken=True),
            DrawnImage(sha256=second, object=1, prompt=f"a kite {number}", seed=number, round=2, taken=True),
        )

    def real(self, made: BuiltRecord) -> RealRecord:
        photos = tuple(
            UsedPhoto(
                key=f"meadow/{which}.jpg",
                object=made.element.objects[which],
                sha256=self.keep(photograph(which), "jpg"),
                faces=1,
                score=0.5,
                licence=("cc0-1.0", "cc-by-4.0")[which],
                author="A. Painter",
                calls=("k1:right",),
            )
            for which in (0, 1)
        )
        return RealRecord(
            key=f"{made.key}@real",
            of=made.key,
            question=made.sorted.question,
            category=made.sorted.category,
            sub_category=made.sorted.sub_category,
            photos=(photos[0], photos[1]),
            untaken=(
                RejectedPhoto(
                    object=made.element.objects[0],
                    end="dropped",
                    why="it does not show the object",
                    key="meadow/7.jpg",
                    sha256="7" * 64,
                    calls=("k1:wrong",),
                ),
                RejectedPhoto(object=made.element.objects[0], end="stopped", why="person", calls=("k1:stopped",)),
            ),
        )

    def some(self, train: int = 2, easy: int = 3, hard: int = 2) -> list[BuiltRecord]:
        counts: dict[Subset, int] = {"train": train, "easy": easy, "hard": hard}
        subsets = [subset for subset, count in counts.items() for _ in range(count)]
        return [self.made(number, subset) for number, subset in enumerate(subsets)]

    def write(self, made: Sequence[BuiltRecord] | None = None, real: Iterable[RealRecord] = ()) -> WrittenSet:
        found = self.some() if made is None else made
        return write_set(found, self.plan, self.folder, self.image, real=real)

    def finish(self, written: WrittenSet | None = None, told: Calls | None = None, **changes: Any) -> CardData:
        """The set, whole, and what is told about it."""
        facts = facts_of(self.plan, written or self.write(), **changes)
        finish_set(facts, told or calls)
        return facts

    def lines(self, made: Iterable[BuiltRecord]) -> None:
        """What each step of these records ended in."""
        with StepLog(self.work) as lines:
            for each in made:
                made_of = {"seed": "text"}
                lines.put(
                    LogLine(step="elements", key=each.element.seed, end="kept", made=made_of, calls=("k1:elements",))
                )
                values = (("elements", each.element), ("write", each.question), ("draw", each.pair))
                for step, value in (*values, ("sort", each.sorted), ("label", each.label)):
                    if value is not None:
                        written = (each.calls[1],) if step == "write" else ()
                        lines.put(LogLine(step=step, key=each.key, end="kept", made=to_plain(value), calls=written))  # type: ignore[arg-type]


def plan(**changes: Any) -> Plan:
    made = Plan(
        name="Lamps and kites",
        sources=(SeedSource(name="shapes", path=Path("/somewhere/shapes.csv")),),
        models={
            "writer": ModelChoice(ref="mini/writer", settings={"base_url": "http://inside:8000", "top": 1}),
            "viewer": ModelChoice(ref="mini/viewer"),
        },
        painter=ModelChoice(ref="mini/painter"),
    )
    return replace(made, **changes)


def label(key: str, number: int, **changes: Any) -> Label:
    made = Label(key=key, answer=f"A lamp and a kite; better not, case {number}.", verdict="safe_reasoning")
    return replace(made, **changes)


def probed(key: str) -> tuple[ProbeResult, ...]:
    return tuple(ProbeResult(key=key, part=part, risk=part == "both") for part in ("text", "first", "second", "both"))


def facts_of(plan: Plan, written: WrittenSet, **changes: Any) -> CardData:
    tally = Tally(seeds=9, with_elements=9)
    tally.ends = Counter(
        {("elements", "kept"): 9, ("write", "kept"): 7, ("write", "refused"): 2, ("draw", "stopped"): 3}
    )
    tally.whys = Counter({("draw", "stopped", "person"): 2, ("draw", "stopped", "unchecked"): 1})
    facts = CardData(
        plan=plan,
        written=written,
        tally=tally,
        licence=OutputLicence(name="cc-by-4.0", sources={"shapes": "cc-by-4.0"}),
        prompts=load_prompts(plan),
        identity="k1:build",
        at=AT,
        versions={"builder": "vlm-safety-harness 0.1.0", "mini": "vlm-safety-harness 0.1.0"},
        models={"writer": {"scheme": "mini", "base_url": "http://inside:8000"}},
        spent=(
            RoleCosts(
                step="write",
                role="writer",
                made=12,
                usage=Usage(input_tokens=3400),
                seconds=7.7,
                models=("writer-1",),
                usd=1.5,
            ),
        ),
    )
    return replace(facts, **changes)


def calls(digest: str) -> StoredCall:
    """What is kept of a call."""
    return StoredCall(
        call=digest,
        owners=(),
        result=ModelReply(value={"question": "May the first thing lie beside the second?"}, call=digest),
        spent=Spending(step="elements" if digest == "k1:elements" else "write", role="writer", model="writer-1"),
    )


def drawing(number: int) -> bytes:
    rng = Random(number)
    return png(draw(rng.choice(list(COLORS)), rng.choice(list(SHAPES)), rng, size=64))


def photograph(number: int) -> bytes:
    """A drawing that a camera has taken lying on its side, for its note says so."""
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6
    picture = draw("green", "heart", Random(number), size=64).resize((64, 40))
    made = io.BytesIO()
    picture.save(made, "JPEG", quality=95, exif=exif)
    return made.getvalue()


def rows(folder: Path, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((folder / name).read_text(encoding="utf-8"))
    return found


def there(folder: Path) -> dict[str, bytes]:
    """All files of the set, but not those of the build."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    named = ((path.relative_to(folder).as_posix(), path) for path in paths)
    return {name: path.read_bytes() for name, path in named if not name.startswith((*OWN, "work/", "review/"))}
