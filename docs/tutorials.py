"""`make docs`: play each tutorial in an empty folder, and put what its commands print into the page.

A block after `<!-- file: NAME -->` is written as that file, in a folder made for it. In a block of `console` each
line after `$ ` is run, and what stands below it is what it printed on stdout; a block that shows nothing is run all the
same. `# exit N` at the end of a line is the exit code it has, 0 without. A block after `<!-- on one machine -->` is run
too, and keeps what it shows: numbers that another processor may make other ones. A test plays the same pages and fails
when one is stale.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

PAGES = Path(__file__).parent / "tutorials"
BLOCK = re.compile(r"^(?:<!-- (?:file: (\S+)|(on one machine)) -->\n)?```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HASH = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{52}\b")  # shown by its beginning
#: what is another on another machine: how long a call took, and by the library that draws the hashes of what is drawn
OTHER = re.compile(r"\b[0-9a-f]{12}…|\b\d+\.\d s$", re.MULTILINE)
COMMAND = re.compile(r"^\$ (.+?)(?: +# exit (\d+))?$")


def played(page: str, folder: Path) -> str:
    """A page with what its commands print when they are run in this folder, one after the other.

    Raises:
        RuntimeError: a command has another exit code than the page says.
    """

    def play(block: re.Match[str]) -> str:
        name, kept, language, body = block.groups()
        if name:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(body, encoding="utf-8")
        if language != "console":
            return block[0]
        printed = _printed(body, folder)
        return block[0] if kept else block[0].replace(body, printed)

    return BLOCK.sub(play, page)


def _printed(body: str, folder: Path) -> str:
    """A block anew. One that shows nothing so far goes on to show nothing."""
    lines = body.splitlines()
    commands = [line for line in lines if COMMAND.match(line)]
    said = [(line, _run(line, folder)) for line in commands]
    return "".join(f"{line}\n{text if len(commands) < len(lines) else ''}" for line, text in said)


def _run(line: str, folder: Path) -> str:
    """What a command prints on stdout."""
    found = COMMAND.match(line)
    assert found is not None
    inner = {name: text for name, text in os.environ.items() if not name.startswith("HARNESS_")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{inner.get('PATH', '')}"
    done = subprocess.run(  # noqa: S603 - the pages are our own
        ["bash", "-c", found[1]],  # noqa: S607
        cwd=folder,
        env={**inner, "PATH": path, "COLUMNS": "110", "XDG_CONFIG_HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != int(found[2] or 0):
        raise RuntimeError(f"exit {done.returncode}: {line}\n{done.stdout}{done.stderr}")
    return HASH.sub(r"\1…", "".join(f"{each.rstrip()}\n" for each in done.stdout.splitlines()))


def alike(one: str, other: str) -> bool:
    """Whether two pages say the same, but for what is another on another machine."""
    return OTHER.sub("", one) == OTHER.sub("", other)


def main() -> int:
    """Renew all pages; the number of those that changed is said."""
    changed, paths = 0, sorted(PAGES.glob("*.md"))
    for path in paths:
        page = path.read_text(encoding="utf-8")
        with TemporaryDirectory() as folder:
            new = played(page, Path(folder))
        if not alike(new, page):
            changed += 1
            path.write_text(new, encoding="utf-8")
    sys.stdout.write(f"{len(paths)} tutorials, {changed} changed\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
