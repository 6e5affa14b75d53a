"""`python release/check_sbom.py FILE`: the SBOM holds the locked dependencies, each with who needs it."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]
CORE: Final = ROOT / "release" / "core.txt"


def normalize(name: str) -> str:
    """Write a name as PyPI does."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read_lock(text: str) -> set[tuple[str, str]]:
    """Read (name, version) of each line; a name may have two versions, one for older Pythons."""
    return {(normalize(name), version) for name, version in re.findall(r"^([\w.-]+)==([^\s;]+)", text, re.MULTILINE)}


def check_sbom(sbom: dict[str, Any], lock: str) -> Iterator[str]:
    """Yield what is wrong with an SBOM."""
    locked = read_lock(lock)
    parts = {part["bom-ref"]: part for part in sbom["components"]}
    for part in parts.values():
        if (normalize(part["name"]), part["version"]) not in locked:
            yield f"{part['name']} {part['version']} is not in release/core.txt"
        yield from (f"{part['name']} has no {fact}" for fact in ("purl", "licenses") if not part.get(fact))
    # a name with a marker may be absent here: it is for another system or Python
    marked = {normalize(name) for name in re.findall(r"^([\w.-]+)==\S+ ;", lock, re.MULTILINE)}
    listed = {normalize(part["name"]) for part in parts.values()}
    yield from (f"{name} is missing" for name in sorted({name for name, _ in locked} - listed - marked))
    needs = {each["ref"]: each.get("dependsOn", []) for each in sbom["dependencies"]}
    root = sbom["metadata"]["component"]["bom-ref"]
    reached, todo = set[str](), [root]
    while todo:
        new = set(needs.get(todo.pop(), ())) - reached
        reached |= new
        todo += new
    yield from (f"{parts[ref]['name']} is needed by nothing" for ref in sorted(parts.keys() - reached))


def main() -> int:
    """Print what is wrong with an SBOM; returns the exit code."""
    sbom = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    problems = list(check_sbom(sbom, CORE.read_text("utf-8")))
    print("\n".join(problems) or f"{sys.argv[1]}: {len(sbom['components'])} parts, each locked, licensed and needed")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
