"""How long the command line takes to start, as a ratio to `python -c pass`, measured in turn and compared pair by pair.

Targets: `harness --help` and `harness tasks list` under 15, also with 45 trivial plugins more; the import of each
built-in plugin's `__init__` under 0.4 ms once the host and the types that plugins share are imported.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from importlib.metadata import entry_points
from pathlib import Path
from statistics import median

from harness.testing.installed import install

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "15"))
RATIO = 15.0
PLUGIN_MS = 0.4
TRIVIAL = 45
SOURCE = "from harness import hookimpl\n\n\n@hookimpl\ndef harness_tasks():\n    return ()\n"
CASES = {
    "python -c pass": ("-c", "pass"),
    "import click": ("-c", "import click"),
    "harness --version": ("-m", "harness", "--version"),
    "harness --help": ("-m", "harness", "--help"),
    "harness tasks list": ("-m", "harness", "tasks", "list"),
}
IMPORTS = """
import importlib, json, sys, time
import harness.contracts, harness.plugins
took = {}
for module in sys.argv[1:]:
    started = time.perf_counter()
    importlib.import_module(module)
    took[module] = (time.perf_counter() - started) * 1000
print(json.dumps(took))
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        site = Path(folder, "site")
        for number in range(TRIVIAL):
            module = f"trivial_plugin_{number}"
            entries = {f"trivial{number}": module}
            install(site, f"trivial-{number}", entries=entries, modules={module: SOURCE})
        show_ratios(environment(Path(folder)), environment(Path(folder), site))
        show_imports(environment(Path(folder)))


def environment(folder: Path, *sites: Path) -> dict[str, str]:
    """An environment whose bytecode is kept, wherever the source lies: compiling is paid once, not at each start."""
    unset = ("PYTHONDONTWRITEBYTECODE", "HARNESS_PLUGINS_ALLOW", "HARNESS_PLUGINS_BLOCK")
    kept = {name: value for name, value in os.environ.items() if name not in unset}
    path = os.pathsep.join([*map(str, sites), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**kept, "PYTHONPYCACHEPREFIX": str(folder / "bytecode"), "PYTHONPATH": path}


def show_ratios(plain: dict[str, str], crowded: dict[str, str]) -> None:
    """Time all cases in turn, round by round, so that whatever else the machine does hits them alike."""
    cases = {name: (command, plain) for name, command in CASES.items()}
    cases |= {f"{name}, {TRIVIAL} more": (CASES[name], crowded) for name in CASES if name.startswith("harness")}
    for command, env in cases.values():
        seconds(command, env)  # writes the bytecode
    taken: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(ROUNDS):
        for name, (command, env) in cases.items():
            taken[name].append(seconds(command, env))
    reference = taken["python -c pass"]
    print(f"{'start-up':36}     ms  ratio  target   ({ROUNDS} rounds, medians)")
    for name, times in taken.items():
        ratio = median(one / base for one, base in zip(times, reference, strict=True))
        target = f"{RATIO:6.0f}" if name.startswith("harness") else "     -"
        print(f"{name:36} {median(times) * 1000:6.1f} {ratio:6.1f}  {target}{short(ratio, RATIO, target)}")


def seconds(command: tuple[str, ...], env: dict[str, str]) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, *command], env=env, capture_output=True, check=True)
    return time.perf_counter() - started


def show_imports(env: dict[str, str]) -> None:
    """The import of each built-in plugin, after the host and the types that all share, whoever is first."""
    modules = sorted({e.value.partition(":")[0] for e in entry_points(group="harness") if is_ours(e.dist)})
    rounds: list[dict[str, float]] = []
    for _ in range(ROUNDS):
        command = [sys.executable, "-c", IMPORTS, *modules]
        rounds.append(json.loads(subprocess.run(command, env=env, capture_output=True, check=True).stdout))
    print(f"{'import of a plugin':36}     ms         target")
    for module in modules:
        took = median(one[module] for one in rounds[1:])
        print(f"{module:36} {took:6.2f}         {PLUGIN_MS:6.1f}{short(took, PLUGIN_MS)}")


def is_ours(distribution: object) -> bool:
    return getattr(distribution, "name", "") == "vlm-safety-harness"


def short(value: float, target: float, shown: str = "") -> str:
    return "" if shown.strip() == "-" or value < target else "   SHORT"


if __name__ == "__main__":
    main()
