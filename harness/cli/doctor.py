"""`harness doctor`: shows what this machine has, on one screen, without heavy imports."""

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

from .ending import find_version
from .options import load_host, plugin_options, show_examples
from .stdout import show, table

_EXTRAS = {
    "": ("openai", "numpy", "scipy", "pandas", "pillow", "jinja2"),
    "[hf]": ("torch", "torchvision", "transformers", "accelerate"),
}
_KEYS = ("OPENAI_API_KEY", "AZURE_OPENAI_API_KEY", "HF_TOKEN")
Row = tuple[str, str, str]


@click.command(name="doctor", epilog=show_examples("harness doctor", "harness doctor --accelerators"))
@click.option("--accelerators", is_flag=True, help="Import torch to name the accelerators; takes seconds.")
@plugin_options
@click.pass_context
def command(ctx: click.Context, accelerators: bool) -> None:
    """Show what this machine has and what is missing."""
    host = load_host(ctx, quiet=True)
    rows: list[Row] = [
        ("harness", find_version(), ""),
        ("python", platform.python_version(), sys.executable),
        ("platform", platform.platform(terse=True), f"{os.cpu_count()} processors"),
        *_list_packages(),
        *((name, "set" if os.environ.get(name) else "not set", "") for name in _KEYS),
        _describe_data(),
        _describe_accelerator(import_torch=accelerators),
    ]
    failed = ", ".join(sorted({fault.source.name for fault in host.check()}))
    slow = ", ".join(f"{source.name} {sum(times.values()):.1f} s" for source, times in host.slow().items())
    notes = [f"faults: {failed}"] * bool(failed) + [f"slow: {slow}"] * bool(slow)
    note = f"{'; '.join(notes)}: harness plugins doctor" if notes else ""
    rows.append(("plugins", f"{len(host.plugins)} loaded", note))
    show(table(["WHAT", "STATE", "NOTE"], rows))


def _list_packages() -> Iterator[Row]:
    for extra, packages in _EXTRAS.items():
        for package in packages:
            try:
                yield package, importlib.metadata.version(package), ""
            except importlib.metadata.PackageNotFoundError:
                yield package, "missing", f"pip install 'vlm-safety-harness{extra}'"


def _describe_data() -> Row:
    folder = data_folder()
    why = "HARNESS_DATA" if os.environ.get("HARNESS_DATA") else "default"
    if not folder.is_dir():
        return "data folder", "not there", f"{folder} ({why})"
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
    free = shutil.disk_usage(folder).free / 1e9
    return "data folder", f"{free:.0f} GB free", f"{folder} ({why}): {', '.join(names) or 'empty'}"


def _describe_accelerator(*, import_torch: bool) -> Row:
    if find_spec("torch") is None:
        return "accelerator", "unknown", "torch is not installed"
    if not import_torch:
        return "accelerator", "not asked", "harness doctor --accelerators"
    try:
        import torch

        names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    except Exception as error:  # noqa: BLE001 - the doctor must report a broken torch
        return "accelerator", "torch is broken", f"{type(error).__name__}: {error}"
    return "accelerator", ", ".join(names) or "none", f"torch {torch.__version__}"
