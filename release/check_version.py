"""`python release/check_version.py TAG`: a tag, pyproject.toml, CITATION.cff and CHANGELOG.md name one version.

And a release says where its source lies: `Source` in `project.urls`, and `repository-code` in CITATION.cff.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]


def check_version(tag: str, root: Path = ROOT) -> Iterator[str]:
    """Yield where another version is named than the tag's."""
    version = tag.removeprefix("v")
    if tag != f"v{version}" or not re.fullmatch(r"\d+\.\d+\.\d+((a|b|rc)\d+)?", version):
        yield f"the tag {tag} is not like v1.2.3"
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]
    declared = project["version"]
    if declared != version:
        yield f"pyproject.toml has the version {declared}, not {version}"
    citation = (root / "CITATION.cff").read_text("utf-8")
    cited = re.search(r"^version: *(\S+)$", citation, re.MULTILINE)
    if cited is None or cited[1].strip("\"'") != version:
        yield f"CITATION.cff has the version {cited[1] if cited else 'of no line'}, not {version}"
    source = project.get("urls", {}).get("Source", "")
    if not source:
        yield "pyproject.toml has no Source in [project.urls]: the page on PyPI would have no link to the repository"
    elif not re.search(rf"^repository-code: *[\"']?{re.escape(source)}[\"']?$", citation, re.MULTILINE):
        yield f"CITATION.cff has no `repository-code: {source}`"
    headings = re.findall(r"^## (.+)$", (root / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    released = [heading for heading in headings if heading != "Unreleased"]
    if not released or not re.fullmatch(rf"{re.escape(version)} - \d{{4}}-\d\d-\d\d", released[0]):
        newest = released[0] if released else "Unreleased"
        yield f"CHANGELOG.md begins with `## {newest}`, not with `## {version} - YYYY-MM-DD`"


def main() -> int:
    """Print what disagrees with a tag; returns the exit code."""
    problems = list(check_version(sys.argv[1]))
    print("\n".join(problems) or f"all files name {sys.argv[1]}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
