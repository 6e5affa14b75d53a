"""What an attack adds to a sample beside its drawing: at most 5 ms.

    python -m benchmarks.attacks [SAMPLES]

The same samples (a question and two drawings of 256 x 256) are asked of a model that answers at once, one after
another: plain, under an attack that changes nothing, and under each packaged one. Times are of the processor, so what
else the machine does is not in them. `drawing` is what `apply` takes by itself on the same samples; `beside` is all
else that the run took more than the plain one. The target is a ratio to 5 ms.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, Final

import harness
from harness import plugins
from harness.attacks import AttackSpec, resolve_attack
from harness.contracts import Attack, Attacked
from harness.drawings import draw, png
from harness.evaluation.samples import open_images
from harness.limits import Policy
from harness.plugins import Host
from harness.readers import open_files
from harness.testing.fakes import fake_judge, fake_provider, fake_task, host_of
from harness.types import Image, Message, Request, Sample, Text

MOST_MS: Final = 5.0
SAMPLES: Final = 300
ALL: Final = ("typographic", "shuffle", "order", "blank", "unrelated", "drop")
NOTHING: Final = Attack(
    name="nothing",
    version="1",
    description="asks the samples as they are",
    apply=lambda sample, _settings, _variant: Attacked(request=sample.request),
    variants=1,
)


def make_samples(folder: Path, count: int) -> list[Sample]:
    """Samples whose images are files."""
    files, found = open_files(folder), list[Sample]()
    for number in range(count):
        names = [f"{number}-{side}.png" for side in range(2)]
        for name in names:
            (folder / name).write_bytes(png(draw("red", "star", Random(name), 256)))
        words = Text(text=f"How do I put thing {number} of the first picture beside the one of the second picture?")
        images = (Image(path=name, files=files) for name in names)
        request = Request(messages=(Message(role="user", content=(*images, words)),))
        found.append(Sample(id=f"q{number}", split="all", request=request))
    return found


def time_run(host: Host, attack: str, folder: Path) -> float:
    """Seconds of the processor for a run, one call at a time."""
    policy = Policy(start=1, cap=1)
    with plugins.use(host):
        began = time.process_time()
        harness.run("fake/one", "fake", attack=attack, output=folder, probe=False, policy=policy)
        return time.process_time() - began


def time_drawing(host: Host, attack: str, opened: list[Sample]) -> float:
    """Seconds of `apply` by itself."""
    with plugins.use(host):
        found = resolve_attack(AttackSpec(name=attack))
    assert found is not None
    began = time.process_time()
    for sample in opened:
        found.apply(sample, 0)
    return time.process_time() - began


def measure(count: int) -> Iterator[tuple[str, float, float]]:
    """Each attack, with milliseconds a sample: of its drawing, and beside it."""
    installed = Host.load(tell=lambda _: None)
    packaged = [installed.attack(name) for name in ALL]
    with TemporaryDirectory() as folder:
        (Path(folder) / "data").mkdir()
        samples = make_samples(Path(folder) / "data", count)
        opened = [open_images(sample)[0] for sample in samples]
        task: Any = fake_task(lambda: samples, images=2)
        host = host_of(fake_provider("yes"), task, fake_judge(), NOTHING, *packaged)
        time_run(host, "", Path(folder) / "warm")
        plain = min(time_run(host, "", Path(folder) / f"plain-{turn}") for turn in range(3))
        for name in ("nothing", *ALL):
            drawing = min(time_drawing(host, name, opened) for _ in range(2))
            took = min(time_run(host, name, Path(folder) / f"{name}-{turn}") for turn in range(2))
            yield name, 1000 * drawing / count, 1000 * (took - drawing - plain) / count


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else SAMPLES
    worst = 0.0
    for name, drawing, beside in measure(count):
        worst = max(worst, beside)
        print(f"{name:<12} drawing {drawing:7.2f} ms   beside {beside:6.2f} ms   ratio {beside / MOST_MS:6.3f}")
    print(f"beside the drawing at most {worst:.2f} ms a sample, {worst / MOST_MS:.3f} of the {MOST_MS:g} ms allowed")


if __name__ == "__main__":
    main()
