"""Programs beside Python that some tests need: a browser, TeX."""

from __future__ import annotations

import os
import shutil

import pytest

INSTALL = {
    "bibtex": "apt-get install --no-install-recommends texlive-latex-recommended",
    "chromium": "apt-get install chromium",
    "pdflatex": "apt-get install --no-install-recommends texlive-latex-recommended",
}


def tool(name: str) -> str:
    """Where a program is; without it the test is skipped, or fails where `HARNESS_ALL_TOOLS` is set."""
    found = shutil.which(name)
    if found is None:
        told = f"{name} is not there: {INSTALL[name]}"
        if os.environ.get("HARNESS_ALL_TOOLS"):
            pytest.fail(told)
        pytest.skip(told)
    return found
