"""A plugin of one file that offers a builder: a record for each line of its config, in no time and with no model.

A line `open WHAT` is still to be done, `interrupt` is a person's Ctrl-C, `stuck` ends with an error after one.
"""

import os
import signal

import anyio
import anyio.lowlevel

from harness import Build, Builder, Built, HarnessError, Setting, hookimpl


def read(build: Build) -> list[str]:
    """The lines of the config."""
    try:
        return build.config.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise HarnessError(f"the config cannot be read: {error.strerror}", where=str(build.config)) from None


async def make(build: Build) -> Built:
    """Write the lines down, times over."""
    lines = read(build)
    build.tell(f"accepted: {', '.join(build.accepted)}; reading \x1b[2J{len(lines)} lines")
    work = build.out / "work"
    work.mkdir(parents=True, exist_ok=True)
    (work / "calls").write_text("kept", encoding="utf-8")
    if {"interrupt", "stuck"} & set(lines):
        await anyio.wait_all_tasks_blocked()  # the command listens
        os.kill(os.getpid(), signal.SIGINT)
        while not build.ending():  # until the command has heard it
            await anyio.lowlevel.checkpoint()
    if "stuck" in lines:
        raise HarnessError("the server is gone", remedy="start it")
    records = [line for line in lines if " " not in line] * build.settings["times"]
    (build.out / "shapes.txt").write_text("\n".join(records), encoding="utf-8")
    still = [line.removeprefix("open ") for line in lines if line.startswith("open ")]
    still += ["elements: 3 are not made yet"] * ("interrupt" in lines)
    return Built(folder=build.out, records={"shapes.txt": len(records)}, open=tuple(still))


def plan(build: Build) -> str:
    """How many lines there are."""
    return f"{len(read(build))} lines"


TIMES = Setting(name="times", type=int, default=1, identity=True, help="how often each line is written")


@hookimpl
def harness_builders() -> list[Builder]:
    """Two, one of which is called like a command."""
    return [
        Builder(name=name, description="a record a line", build=make, plan=plan, settings=(TIMES,))
        for name in ("shapes", "show")
    ]
