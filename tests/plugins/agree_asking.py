"""A run of `agree_world` with two judges, and `harness agree` on it."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner, Result

from harness.cli import cli

SOURCE = Path(__file__).with_name("agree_world.py")
WORLD = ("--plugin", str(SOURCE))


def judged(folder: Path, *, asks: str = "", tasks: str = "twice") -> Path:
    """The folder of a run that `first` and `second` have judged; `asks` instead of the world's own questions."""
    world = WORLD
    if asks:
        file = folder.with_suffix(".py")
        line = next(line for line in SOURCE.read_text().splitlines() if line.startswith("ASKS"))
        file.write_text(SOURCE.read_text().replace(line, f"ASKS = {asks.split()!r}"))
        world = ("--plugin", str(file))
    flags = ("--model", "said/x", "--tasks", tasks, "--judge", "first", "--judge", "second", "--no-probe")
    done = CliRunner().invoke(cli, ["run", *flags, "--output", str(folder), *world])
    assert done.exit_code in (0, 3), done.output
    return folder


def agree(run: Path, *flags: str) -> Result:
    """`harness agree`; what it raises is raised here."""
    return CliRunner().invoke(cli, ["agree", str(run), *WORLD, *flags], catch_exceptions=False)


def told(run: Path, *flags: str) -> str:
    """What it prints on stdout."""
    done = agree(run, *flags)
    assert done.exit_code == 0, done.output
    return done.stdout
