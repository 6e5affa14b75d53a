"""`harness doctor`: what this machine has, in one screen; nothing heavy is imported to find out."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from importlib.util import find_spec

import click

from harness.data.places import data_folder

from .crash import version
from .options import loaded, plugin_options
from .stdout import show
from .table import table

_EXTRAS = {
    "": ("openai", "numpy", "scipy", "pandas", "pillow", "jinja2"),
    "[hf]": ("torch", "torchvision", "transformers", "accelerate"),
}
_KEYS = ("OPENAI_API_KEY", "AZURE_OPENAI_API_KEY", "HF_TOKEN")
Row = tuple[str, str, str]


@click.command(name="doctor")
@click.option("--accelerators", is_flag=True, help="Import torch to name the accelerators; takes seconds.")
@plugin_options
@click.pass_context
def command(ctx: click.Context, accelerators: bool) -> None:
    """Show what this machine has and what is missing."""
    host = loaded(ctx, quiet=True)
    rows = [*_machine(), *_packages(), *_keys(), *_data(), *_accelerators(really=accelerators)]
    failed = ", ".join(sorted({fault.source.name for fault in host.check()}))
    slow = ", ".join(f"{source.name} {sum(took.values()):.1f} s" for source, took in host.slow().items())
    told = [f"faults: {failed}"] * bool(failed) + [f"slow: {slow}"] * bool(slow)
    rows.append(
        ("plugins", f"{len(host.plugins)} loaded", f"{'; '.join(told)}: harness plugins doctor" if told else "")
    )
    show(table(["WHAT", "STATE", "NOTE"], rows))


def _machine() -> Iterator[Row]:
    yield "harness", version(), ""
    yield "python", platform.python_version(), sys.executable
    yield "platform", platform.platform(terse=True), f"{os.cpu_count()} processors"


def _packages() -> Iterator[Row]:
    for extra, packages in _EXTRAS.items():
        for package in packages:
            there = _version_of(package)
            yield package, there or "missing", "" if there else f"pip install 'vlm-safety-harness{extra}'"


def _version_of(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _keys() -> Iterator[Row]:
    for name in _KEYS:
        yield name, "set" if os.environ.get(name) else "not set", ""


def _data() -> Iterator[Row]:
    folder = data_folder()
    why = "HARNESS_DATA" if os.environ.get("HARNESS_DATA") else "default"
    if not folder.is_dir():
        yield "data folder", "not there", f"{folder} ({why})"
        return
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
    free = shutil.disk_usage(folder).free / 1e9
    yield "data folder", f"{free:.0f} GB free", f"{folder} ({why}): {', '.join(names) or 'empty'}"


def _accelerators(*, really: bool) -> Iterator[Row]:
    if find_spec("torch") is None:
        yield "accelerator", "unknown", "torch is not installed"
    elif not really:
        yield "accelerator", "not asked", "harness doctor --accelerators"
    else:
        yield from _torch_sees()


def _torch_sees() -> Iterator[Row]:
    try:
        import torch

        names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    except Exception as error:  # noqa: BLE001 - a broken torch is what a doctor is asked about
        yield "accelerator", "torch is broken", f"{type(error).__name__}: {error}"
        return
    yield "accelerator", ", ".join(names) or "none", f"torch {torch.__version__}"
