"""The figures of the leaderboard page in a real browser: nothing is cut, and no text lies on another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from harness_html import render

from harness.plugins.host import Host, use
from tests.browser.pages import Seen, browser
from tests.reports.figure_runs import CROWDS, crowd

WIDTHS = (1440, 1280, 390)

#: pairs of texts of one drawing whose areas, without half a pixel at each side, meet; and what is cut
FAULTS = """
() => {
  for (const each of document.querySelectorAll("details")) each.open = true;
  const faults = [];
  let drawings = 0, texts = 0;
  for (const svg of document.querySelectorAll("figure svg")) {
    const whole = svg.getBoundingClientRect();
    if (!whole.width) continue;
    drawings += 1;
    const title = svg.getAttribute("aria-label");
    const frame = svg.closest(".drawing").getBoundingClientRect();
    const within = (inner, outer, room) => inner.left >= outer.left - room && inner.right <= outer.right + room;
    if (!within(whole, frame, 1) || !within(whole, { left: 0, right: innerWidth }, 1)) faults.push(["cut", title]);
    const parts = [...svg.querySelectorAll("text")];
    const boxes = parts.flatMap((text) => text.children.length ? [...text.children] : [text])
      .map((part) => [part.textContent, part.getBoundingClientRect()]);
    texts += boxes.length;
    boxes.forEach(([name, box], place) => {
      const low = box.top < whole.top - 2 || box.bottom > whole.bottom + 2;
      if (low || !within(box, whole, 1)) faults.push(["leaves", name, title]);
      for (const [other, its] of boxes.slice(place + 1)) {
        const trim = 0.13 * Math.min(box.height, its.height);  // room above and below letters
        const across = box.left + 0.5 < its.right && its.left + 0.5 < box.right;
        const down = box.top + trim < its.bottom - trim && its.top + trim < box.bottom - trim;
        if (across && down) faults.push(["on", name, other, title]);
      }
    });
  }
  return { drawings, texts, faults: faults.slice(0, 8) };
}
"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """The page of each crowd of models."""
    folder = tmp_path_factory.mktemp("figures")
    with use(Host.load()):
        for name, refs in CROWDS.items():
            (folder / f"{name}.html").write_text(render(crowd(refs)), encoding="utf-8")
    return {name: folder / f"{name}.html" for name in CROWDS}


@pytest.fixture(scope="module", params=WIDTHS)
def seen(request: pytest.FixtureRequest) -> Iterator[Seen]:
    with browser(viewport={"width": request.param, "height": 900}) as one:
        yield one


@pytest.mark.parametrize("name", CROWDS)
def test_no_figure_is_cut_and_no_text_lies_on_another(seen: Seen, pages: Mapping[str, Path], name: str) -> None:
    seen.page.goto(pages[name].as_uri())
    found: dict[str, Any] = seen.page.evaluate(FAULTS)
    assert found["drawings"] >= 7
    assert found["texts"] > 40
    assert found["faults"] == []
    seen.clean()
