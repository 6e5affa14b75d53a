"""Writes the package of `harness plugins new`: it works at once, and its tests check its contracts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Final

from harness.errors import HarnessError
from harness.plugins.host import Host

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,40}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of thing that a new plugin can offer.

    Attributes:
        offer: the host's name for the kind.
        readme: its text in the README.
        imports: module -> names that its code imports; no names for the module itself.
        test: its test.
        test_imports: module -> names that its test imports.
    """

    offer: str
    readme: str
    imports: Mapping[str, Sequence[str]]
    test: str
    test_imports: Mapping[str, Sequence[str]]


_PATH: Final = {"pathlib": ("Path",)}
_SUITE: Final = "harness.testing.conformance"
#: by the value of `--kind`, in the order of their code in the module
KINDS: Final[Mapping[str, Kind]] = {
    "model": Kind(
        offer="models",
        readme="models, `--model $name/NAME`",
        imports={
            "collections.abc": ("AsyncGenerator", "Iterable"),
            "contextlib": ("asynccontextmanager",),
            "harness": ("Failure", "Model", "ModelInfo", "Provider", "Request", "Response", "Settings", "Text"),
        },
        test='def test_the_provider_keeps_its_contract() -> None:\n    check_provider(PROVIDER, "any")\n',
        test_imports={_SUITE: ("check_provider",), "harness_$name": ("PROVIDER",)},
    ),
    "task": Kind(
        offer="tasks",
        readme="a task, `--tasks $name`",
        imports={
            "collections.abc": ("Iterable", "Iterator"),
            **_PATH,
            "harness": ("Generation", "Sample", "Settings", "Split", "Task", "Verdict", "prompt", "rate"),
        },
        test="def test_the_task_keeps_its_contract() -> None:\n    check_task(TASK$own_judge)\n",
        test_imports={_SUITE: ("check_task",), "harness_$name": ("TASK",)},
    ),
    "judge": Kind(
        offer="judges",
        readme="a judge, `--judge $name=SCHEME/NAME`, whose template is `harness_$name/$name.j2`",
        imports={"collections.abc": ("Iterable",), **_PATH, "harness": ("Judge", "rubric")},
        test="def test_the_judge_keeps_its_contract() -> None:\n"
        '    check_judge(JUDGE, replies=[\'{"reason": "It declines.", "label": "refused"}\'])\n',
        test_imports={_SUITE: ("check_judge",), "harness_$name": ("JUDGE",)},
    ),
    "strategy": Kind(
        offer="strategies",
        readme="a strategy around a model, `--strategy $name`",
        imports={
            "collections.abc": ("Iterable",),
            "dataclasses": ("replace",),
            "harness": (
                *("Failure", "Message", "Model", "ModelInfo", "Request", "Response", "Settings", "Strategy", "Text"),
            ),
        },
        test="def test_the_strategy_keeps_its_contract() -> None:\n    check_strategy(STRATEGY)\n",
        test_imports={_SUITE: ("check_strategy",), "harness_$name": ("STRATEGY",)},
    ),
    "attack": Kind(
        offer="attacks",
        readme="an attack, which changes what is asked, `--attack $name`",
        imports={
            "collections.abc": ("Iterable",),
            "dataclasses": ("replace",),
            "harness": ("Attack", "Attacked", "Sample", "Settings", "Text", "Variant"),
        },
        test="def test_the_attack_keeps_its_contract() -> None:\n    check_attack(ATTACK)\n",
        test_imports={_SUITE: ("check_attack",), "harness_$name": ("ATTACK",)},
    ),
    "report": Kind(
        offer="reports",
        readme="a report, `harness report --format $name`",
        imports={"collections.abc": ("Iterable", "Sequence"), "harness": ("Report", "Results")},
        test="def test_the_report_keeps_its_contract() -> None:\n    check_report(REPORT)\n",
        test_imports={_SUITE: ("check_report",), "harness_$name": ("REPORT",)},
    ),
    "trainer": Kind(
        offer="trainers",
        readme="a trainer, `harness train $name`",
        imports={
            "json": (),
            "shutil": (),
            "collections.abc": ("Iterable",),
            **_PATH,
            "harness": ("HarnessError", "Trainer", "Training"),
        },
        test="def test_the_trainer_keeps_its_contract(tmp_path: Path) -> None:\n"
        '    for folder in ("model", "data"):\n'
        "        (tmp_path / folder).mkdir()\n"
        '    data = {"": tmp_path / "data"}\n'
        '    check_trainer(TRAINER, Training(model=str(tmp_path / "model"), data=data, out=tmp_path / "out"))\n',
        test_imports={
            **_PATH,
            "harness": ("Training",),
            _SUITE: ("check_trainer",),
            "harness_$name": ("TRAINER",),
        },
    ),
    "builder": Kind(
        offer="builders",
        readme="a builder of data sets, `harness build $name`",
        imports={
            "json": (),
            "collections.abc": ("Iterable",),
            **_PATH,
            "harness": ("Build", "Builder", "Built", "HarnessError"),
        },
        test="def test_the_builder_keeps_its_contract(tmp_path: Path) -> None:\n"
        '    (tmp_path / "ideas.txt").write_text("a kettle\\n", encoding="utf-8")\n'
        '    check_builder(BUILDER, tmp_path / "ideas.txt")\n',
        test_imports={**_PATH, _SUITE: ("check_builder",), "harness_$name": ("BUILDER",)},
    ),
}
USUAL: Final = ("model", "task", "judge")  #: the kinds of a new plugin if none is given


def write_plugin(name: str, kinds: Sequence[str], host: Host, folder: Path | None = None) -> Path:
    """Write the package and return its folder.

    Args:
        name: the name of the plugin and of each thing it offers.
        kinds: keys of `KINDS`.
        host: the existing plugins, whose names are taken.
        folder: the folder to make; None means `harness-NAME` here.

    Raises:
        HarnessError: the name is not valid for a package or is taken, or the folder exists already.
    """
    name = name.replace("-", "_")
    if not _NAME.fullmatch(name):
        raise HarnessError(
            f"{name!r} cannot name a plugin", remedy="use lower-case letters, digits and _, a letter first"
        )
    _check_free(name, kinds, host)
    folder = folder or Path(f"harness-{name.replace('_', '-')}")
    if folder.exists():
        raise HarnessError("the folder exists already", where=str(folder), remedy="choose another with --output")
    for place, text in _render_files(name, [kind for kind in KINDS if kind in kinds]).items():
        file = folder / place
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return folder


def render_bounds(version: str) -> str:
    """Render the versions of the harness that a plugin of today may be used with, such as `>=0.1,<0.2`.

    Before 1.0.0 a minor release may break a plugin, later a major one (docs/version-policy.md).
    """
    found = re.match(r"(\d+)\.(\d+)(\.\d+)?", version)
    if not found:
        return ""
    major, minor = int(found[1]), int(found[2])
    lowest = version if found[0] != version else f"{major}.{minor}"  # a pre-release lies below 0.2
    return f">={lowest},<{major + 1}" if major else f">={lowest},<0.{minor + 1}"


def _check_free(name: str, kinds: Sequence[str], host: Host) -> None:
    """Refuse a taken name, because two plugins of one name disable it. Raises HarnessError."""
    from importlib.util import find_spec

    owners = [f"{source.origin} has a plugin {source.entry!r}" for source in host.plugins if source.entry == name]
    for kind in kinds:
        # A task and a suite share the names of `--tasks`.
        for offer, word in [(KINDS[kind].offer, kind), *([("suites", "suite")] if kind == "task" else [])]:
            offered = {
                getattr(item, "scheme", "") or getattr(item, "name", ""): owner for item, owner in host.offers(offer)
            }
            if name in offered:
                owners.append(f"plugin {offered[name]} offers the {word} {name!r}")
    if not owners and find_spec(f"harness_{name}") is not None:
        owners.append(f"a module harness_{name} is installed")
    if owners:
        raise HarnessError(f"the name {name!r} is taken: {owners[0]}", remedy="choose another name")


def _render_files(name: str, kinds: Sequence[str]) -> dict[str, str]:
    """Path of each file -> its text."""
    from importlib.resources import files

    from harness.runs.environment import harness_version

    values = {"name": name, "dashed": name.replace("_", "-"), "bounds": render_bounds(harness_version())}
    values["own_rubric"] = f', "{name}": {{}}' if "judge" in kinds else ""
    values["own_judge"] = ", judges=[JUDGE]" if {"task", "judge"} <= {*kinds} else ""
    values["offers"] = "\n".join(Template(f"- {KINDS[kind].readme}").substitute(values) for kind in kinds)

    def render(file: str) -> str:
        text = (files("harness.cli") / "plugin_template" / file).read_text(encoding="utf-8")
        return Template(text).substitute(values)

    code = [render(f"{kind}.py.txt").rstrip("\n") for kind in kinds]
    imports = _render_imports([{"harness": ("hookimpl",)}, *(KINDS[kind].imports for kind in kinds)])
    gap = "\n" if code[0][0].isupper() else "\n\n"  # before a value, or before a class or a function, as formatters do
    test_imports = _render_imports([KINDS[kind].test_imports for kind in kinds])
    tests = "\n\n".join(KINDS[kind].test for kind in kinds)
    rendered = {
        "pyproject.toml": render("pyproject.toml.txt"),
        "README.md": render("README.md.txt"),
        ".github/workflows/ci.yml": render("ci.yml.txt"),
        f"harness_{name}/__init__.py": f'"""The plugin `{name}`."""\n\n{imports}{gap}' + "\n\n\n".join(code) + "\n",
        f"tests/test_{name}.py": Template(
            f'"""The plugin `$name` keeps the contracts of the harness."""\n\n{test_imports}\n\n{tests}'
        ).substitute(values),
    }
    if "judge" in kinds:
        rendered[f"harness_{name}/{name}.j2"] = render("rubric.j2.txt")
    return rendered


def _render_imports(each_imports: Sequence[Mapping[str, Sequence[str]]]) -> str:
    """The joined import lines of several pieces of code, each module once, in isort's order."""
    modules: dict[str, set[str]] = {}
    for imports in each_imports:
        for module, names in imports.items():
            modules.setdefault(module, set()).update(names)

    def render(module: str) -> str:
        names = sorted(modules[module], key=lambda name: (not name.isupper(), not name[0].isupper(), name))
        line = f"from {module} import {', '.join(names)}"
        return line if len(line) <= 120 else "\n".join([f"from {module} import (", *(f"    {n}," for n in names), ")"])

    own = {"harness_$name"} & modules.keys()
    third = {module for module in modules if module.startswith("harness")} - own
    standard = sorted(modules.keys() - third - own)
    blocks = [
        ["from __future__ import annotations"],
        [f"import {module}" for module in standard if not modules[module]]
        + [render(module) for module in standard if modules[module]],
        [render(module) for module in sorted(third)],
        [render(module) for module in own],
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"
