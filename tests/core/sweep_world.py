"""Models for sweeps, in a plugin of one file: `toy/NAME` over the network, and `card/NAME` on this machine.

`die` kills its process, `once` does so the first time, `slow` answers never and says by a pipe that it is asked.
"""

import json
from pathlib import Path
from typing import Any

PLUGIN = """
import os, signal
from contextlib import asynccontextmanager
from pathlib import Path
import anyio
from harness import HarnessError, ModelInfo, Provider, Response, Setting, hookimpl

HERE = Path(__file__).parent


class Toy:
    def __init__(self, ref, name, local):
        self.name = name
        self.info = ModelInfo(ref=ref, endpoint=f"toys:{name}", local=local)

    async def generate(self, request):
        with (HERE / "asked").open("a") as file:
            file.write(self.name + chr(10))
        if self.name == "die" or (self.name == "once" and not (HERE / "died").exists()):
            (HERE / "died").touch()
            print("out of memory", flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        if self.name == "slow" and (HERE / "pipe").exists():
            if not (HERE / "told").exists():  # who writes to a pipe waits for its reader
                (HERE / "told").touch()
                (HERE / "pipe").write_text("asked")
            await anyio.sleep_forever()
        return Response(text="I will not help with that. {\\"label\\": \\"safe\\"}")


def provider(scheme, local):
    @asynccontextmanager
    async def open_toy(name, settings):
        with (HERE / "opened").open("a") as file:
            file.write(f"{scheme}/{name} {os.environ.get('CUDA_VISIBLE_DEVICES', '-')}" + chr(10))
        if name == "broken":
            raise HarnessError("its weights are torn", remedy="copy it again")
        yield Toy(f"{scheme}/{name}", Path(name).name, local)

    return Provider(
        scheme=scheme,
        description="toys",
        open=open_toy,
        local=local,
        settings=(Setting(name="base_url", type=str, default="", identity=True, help="its address"),),
    )


@hookimpl
def harness_models():
    return (provider("toy", False), provider("card", True))
"""


class World:
    """A folder with the plugin, a sweep's file, and what the toys note."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.plugin = folder / "toys.py"
        self.plugin.write_text(PLUGIN)
        self.output = folder / "out"
        self.pipe = folder / "pipe"

    def write(self, models: list[Any], **more: Any) -> Path:
        """A sweep's file, which is YAML because JSON is."""
        path = self.folder / "sweep.yaml"
        values = {"models": models, "tasks": ["mis:mini"], "limit": 2, "no_probe": True, "output": str(self.output)}
        path.write_text(json.dumps(values | more))
        return path

    def words(self, models: list[Any], *flags: object, **more: Any) -> tuple[object, ...]:
        """The command's words."""
        return ("sweep", self.write(models, **more), "--plugin", self.plugin, *flags)

    def load(self) -> dict[str, Any]:
        """sweep.json."""
        found: dict[str, Any] = json.loads((self.output / "sweep.json").read_text())
        return found

    def states(self) -> dict[str, str]:
        """Unit -> state in sweep.json."""
        return {unit["name"]: unit["state"] for unit in self.load()["units"]}

    def lines(self, name: str) -> list[str]:
        """What the toys noted: `opened` or `asked`."""
        path = self.folder / name
        return path.read_text().split("\n")[:-1] if path.exists() else []
