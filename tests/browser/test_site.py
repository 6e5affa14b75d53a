"""The site of the documentation: built as `make site` does, served, and opened in a browser."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Literal

import pytest

from tests.browser.pages import browser, violations

ROOT = Path(__file__).parents[2]
PAGES = ("", "tutorials/first-run/", "commands/run/", "tasks/", "api/values/", "statistics/")


class Quiet(SimpleHTTPRequestHandler):
    """Files of a folder, and no line for each."""

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the site, built strictly: a dead link, a dead anchor or a page that no menu has fails it."""
    folder = tmp_path_factory.mktemp("site")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", folder],
        cwd=ROOT,
        env={**os.environ, "PATH": path, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (1024, "dark"), (390, "light")])
def test_the_site_asks_no_other_server_is_clean_by_axe_and_fits(
    site: str, width: int, scheme: Literal["light", "dark"]
) -> None:
    with browser(viewport={"width": width, "height": 900}, color_scheme=scheme) as seen:
        for page in PAGES:
            seen.page.goto(f"{site}{page}")
            seen.page.wait_for_load_state("networkidle")
            assert violations(seen.page) == [], page
            assert seen.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), page
        seen.clean()


def test_the_search_of_the_served_site_finds_a_command_a_task_and_a_class(site: str) -> None:
    with browser(viewport={"width": 1440, "height": 900}) as seen:
        for words, found in (("allow-mismatch", "compare"), ("VLSBench", "vlsbench"), ("ImageContent", "api/values")):
            seen.page.goto(site)
            seen.page.fill("input.md-search__input", words)
            seen.page.wait_for_selector(f".md-search-result__item a[href*='{found}']")
        seen.clean()
