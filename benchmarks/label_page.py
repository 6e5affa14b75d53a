"""The label page in Chromium with images of 10 MB: how long until the next answer stands there with its images.

Each answer has a PNG and a JPEG of 10 MB, noise of our own, so nothing compresses. Times are the browser's own clock,
from the key to the frame after both images are decoded. The reference is measured in the same run: the same two files,
served by Python's plain file server and shown by an empty page. Target: under 100 ms after the annotator has read for a
moment, since the next images are loaded meanwhile. "At once" is an annotator who reads nothing.
"""

import functools
import io
import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median

import numpy as np
import PIL.Image
from anyio.from_thread import start_blocking_portal
from harness_label.page import label_app
from harness_label.queue import LabelQueue
from playwright.sync_api import Page, sync_playwright

from harness import Image, Verdict
from harness.keys import text_hash
from harness.readers import open_files
from harness.runs.labelling import LabelItem
from harness.web import serving
from harness.web.pages import first_url
from tests.tools import tool

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "7"))
BYTES = int(os.environ.get("BENCH_BYTES", "10000000"))
TARGET_MS = 100.0

NEXT = """() => new Promise((resolve) => {
  const shown = document.getElementById('now').textContent;
  document.querySelector('#labels input').checked = true;
  const before = performance.now();
  document.body.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', bubbles: true }));
  const look = async () => {
    if (document.getElementById('now').textContent === shown) return setTimeout(look, 0);
    const words = performance.now() - before;
    const there = () => document.querySelectorAll('#images :is(img, canvas)').length === 2;
    while (!there()) await new Promise((done) => setTimeout(done, 0));
    await Promise.all([...document.querySelectorAll('#images img')].map((each) => each.decode()));
    requestAnimationFrame(() => requestAnimationFrame(() => resolve([words, performance.now() - before])));
  };
  look();
})"""
#: until the page has nothing more to load; how many images it has prepared
SETTLED = "async () => { await HV.app.ahead; return HV.app.pictures.ready.size; }"
PLAIN = """async (urls) => {
  const before = performance.now();
  const every = urls.map((url) => Object.assign(document.createElement('img'), { src: url, height: 300 }));
  document.body.replaceChildren(...every);
  await Promise.all(every.map((each) => each.decode()));
  return new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(() => {
    resolve(performance.now() - before);
  })));
}"""


def main() -> None:
    count = 2 * ROUNDS + 3
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sizes = [write_images(folder, number) for number in range(count)]
        with sync_playwright() as playwright, served(folder, count) as url, plain(folder) as files:
            browser = playwright.chromium.launch(executable_path=tool("chromium"), args=["--no-sandbox"])
            page = browser.new_page()
            begin(page, url)
            read = [next_answer(page, wait=True) for _ in range(ROUNDS)]
            once = [next_answer(page, wait=False) for _ in range(ROUNDS)]
            other = browser.new_page()
            other.goto(f"{files}/empty.html")
            reference = [other.evaluate(PLAIN, [f"{files}/{each}" for each in names(n)]) for n in range(ROUNDS)]
            browser.close()
        print(
            f"{f'two images of {min(sizes) / 1e6:.0f} MB an answer':52}       ms   target   ({ROUNDS} rounds, medians)"
        )
        say("next answer, after a look", [whole for _, whole in read], TARGET_MS)
        say("its words alone", [words for words, _ in read], TARGET_MS)
        say("next answer, at once", [whole for _, whole in once])
        say("its words alone", [words for words, _ in once], TARGET_MS)
        say("the same images from a plain file server", reference)
        ratio = median(whole for _, whole in read) / median(reference)
        print(f"{'after a look / plain file server':52} {ratio:8.2f}")
        print(f"{'at once / plain file server':52} {median(whole for _, whole in once) / median(reference):8.2f}")


def say(what: str, times: list[float], target: float | None = None) -> None:
    ends = f"{min(times):.0f} to {max(times):.0f}"
    print(f"{what:52} {median(times):8.0f} {'' if target is None else f'< {target:.0f}':>8}   {ends}")


def next_answer(page: Page, *, wait: bool) -> tuple[float, float]:
    """Milliseconds until the words of the next answer, and until all of it."""
    if wait:
        assert page.evaluate(SETTLED) >= 2
    words, whole = page.evaluate(NEXT)
    return words, whole


def begin(page: Page, url: str) -> None:
    page.goto(f"{url}&reviewer=anna")
    page.click("#begin .main")
    page.wait_for_selector("#work:visible")


def names(number: int) -> tuple[str, str]:
    return f"{number}.png", f"{number}.jpg"


def write_images(folder: Path, number: int) -> int:
    """Write a PNG and a JPEG of about `BYTES`; the bytes of the smaller one."""
    random = np.random.default_rng(number)
    side = int((BYTES / 3) ** 0.5)
    png = io.BytesIO()
    PIL.Image.fromarray(random.integers(0, 256, (side, side, 3), dtype=np.uint8)).save(png, "png", compress_level=0)
    wide = int((BYTES / 0.62) ** 0.5)
    soft = PIL.Image.fromarray(random.integers(96, 160, (wide, wide, 3), dtype=np.uint8))
    for quality in range(75, 101):  # the first that is large enough
        jpeg = io.BytesIO()
        soft.save(jpeg, "jpeg", quality=quality)
        if jpeg.tell() >= BYTES:
            break
    for name, data in zip(names(number), (png.getvalue(), jpeg.getvalue()), strict=True):
        (folder / name).write_bytes(data)
    return min(len(png.getvalue()), len(jpeg.getvalue()))


@contextmanager
def served(folder: Path, count: int) -> Iterator[str]:
    files = open_files(folder)
    items = [
        LabelItem(
            item=f"bench/{number}",
            run="bench",
            title="bench:split",
            category="shapes",
            question="What is in [image 1] and [image 2]?",
            images=tuple(Image(path=each, files=files) for each in names(number)),
            answer=f"Answer {number}. " + "It is noise and nothing else. " * 60,
            answer_hash=text_hash(str(number)),
            labels=("safe", "unsafe"),
            machine=Verdict(label="safe"),
            group=str(folder / "run"),
        )
        for number in range(count)
    ]
    (folder / "run").mkdir()
    with start_blocking_portal() as portal:
        app = label_app(LabelQueue(items), "token")
        with portal.wrap_async_context_manager(serving(app)) as server:
            yield first_url(server, "token")


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def plain(folder: Path) -> Iterator[str]:
    (folder / "empty.html").write_text("<!doctype html><title>empty</title>", "utf-8")
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()


if __name__ == "__main__":
    main()
