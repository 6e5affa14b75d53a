"""`harness doctor`: shows what this machine has, what each missing extra needs, and on request which servers answer."""

from __future__ import annotations

import asyncio
import importlib.metadata
import os
import platform
import re
import shutil
import ssl
import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import click

from harness.contracts import Provider
from harness.data.places import data_folder
from harness.errors import HarnessError
from harness.plugins.host import Host
from harness.settings import effective

from .config import configured_data, schemes_flag, with_schemes
from .ending import find_version
from .options import plugin_options, show_examples
from .stdout import show, table

_DISTRIBUTION: Final = "vlm-safety-harness"
_SHOWN: Final = (
    "openai",
    "numpy",
    "scipy",
    "pandas",
    "pillow",
    "jinja2",
    "torch",
    "torchvision",
    "transformers",
    "accelerate",
)
_FOR_DEVELOPERS: Final = ("dev", "docs")
#: of a requirement: the package's name, its extras, and the extra that wants it
_REQUIREMENT: Final = re.compile(r"""([\w.-]+)(?:\[([^]]*)\])?.*?(?:extra\s*==\s*["']([\w-]+)["'])?$""")
_CONNECT_SECONDS: Final = 5.0
_KEYS = ("OPENAI_API_KEY", "AZURE_OPENAI_API_KEY", "HF_TOKEN")
Row = tuple[str, str, str]


@click.command(name="doctor", epilog=show_examples("harness doctor", "harness doctor --accelerators --servers"))
@click.option("--accelerators", is_flag=True, help="Import torch to name the accelerators; takes seconds.")
@click.option("--servers", is_flag=True, help="Connect to the server of each API whose key is set; asks nothing.")
@click.option("--times", is_flag=True, help="Show the seconds that each plugin took to load.")
@schemes_flag
@plugin_options
@click.pass_context
def command(ctx: click.Context, accelerators: bool, servers: bool, times: bool) -> None:
    """Show what this machine has and what is missing."""
    host = with_schemes(ctx, quiet=True)
    rows: list[Row] = [
        ("harness", find_version(), ""),
        ("python", platform.python_version(), sys.executable),
        ("platform", platform.platform(terse=True), f"{os.cpu_count()} processors"),
        *_list_packages(),
        *_list_extras(),
        *((name, "set" if os.environ.get(name) else "not set", "") for name in _KEYS),
        _describe_data(configured_data(ctx)),
        _describe_accelerator(import_torch=accelerators),
    ]
    failed = ", ".join(sorted({fault.source.name for fault in host.check()}))
    slow = ", ".join(f"{source.name} {sum(times.values()):.1f} s" for source, times in host.slow().items())
    notes = [f"faults: {failed}"] * bool(failed) + [f"slow: {slow}"] * bool(slow)
    note = f"{'; '.join(notes)}: harness plugins doctor" if notes else ""
    rows.append(("plugins", f"{len(host.plugins)} loaded", note))
    if times:
        taken = sorted(((sum(by.values()), source.name, by) for source, by in host.slow(0.0).items()), reverse=True)
        rows += [
            (f"plugin {name}", f"{seconds:.3f} s", ", ".join(f"{stage} {took:.3f} s" for stage, took in by.items()))
            for seconds, name, by in taken
        ]
    if servers:
        rows += asyncio.run(_try_servers(host))
    show(table(["WHAT", "STATE", "NOTE"], rows))


def _list_packages() -> Iterator[Row]:
    for package in _SHOWN:
        version = _find_version(package)
        yield package, version or "missing", "" if version else "see the extras below"


def _find_version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _list_extras() -> Iterator[Row]:
    """Each extra that the distribution declares: whether its packages are there, and the command that installs it."""
    needs: dict[str, set[str]] = {}
    try:
        requirements = importlib.metadata.requires(_DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        return
    for requirement in requirements:
        found = _REQUIREMENT.match(requirement)
        if found is None or not found[3] or found[3] in _FOR_DEVELOPERS:
            continue
        packages = {f"[{each.strip()}]" for each in found[2].split(",")} if found[1] == _DISTRIBUTION else {found[1]}
        needs.setdefault(found[3], set()).update(packages)
    for extra in sorted(needs):
        missing = sorted(package for package in _expand(extra, needs) if not _find_version(package))
        install = f"{', '.join(missing)}: pip install '{_DISTRIBUTION}[{extra}]'"
        yield f"[{extra}]", "missing" if missing else "complete", install if missing else ""


def _expand(extra: str, needs: dict[str, set[str]]) -> Iterator[str]:
    """The packages of an extra, and of the extras that it names."""
    for package in needs.get(extra, ()):
        if package.startswith("["):
            yield from _expand(package.strip("[]"), needs)
        else:
            yield package


async def _try_servers(host: Host) -> list[Row]:
    """A row for each provider that asks a server by `base_url`: no key and no question is sent."""
    providers = [provider for provider, _ in host.offers("models") if _asks_server(provider)]
    return list(await asyncio.gather(*map(_try_server, providers)))


def _asks_server(provider: Provider) -> bool:
    return not provider.local and any(setting.name == "base_url" for setting in provider.settings)


async def _try_server(provider: Provider) -> Row:
    name = f"server of {provider.scheme}"
    try:
        settings = effective(provider.settings, {}, owner=f"provider {provider.scheme}")
        async with provider.open("doctor", settings) as model:
            server = model.info.endpoint.partition("#")[0]
    except HarnessError as error:
        return name, "not tried", error.what
    where = urlsplit(f"//{server}")
    secure = None if str(settings["base_url"]).startswith("http://") else ssl.create_default_context()
    port = where.port or (443 if secure else 80)
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            _, writer = await asyncio.open_connection(where.hostname, port, ssl=secure)
            writer.close()
            with suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()
    except TimeoutError:
        return name, "no answer", f"{server}: nothing in {_CONNECT_SECONDS:.0f} s"
    except OSError as error:
        why = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
        return name, "no answer", f"{server}: {why}"
    return name, "answers", server


def _describe_data(configured: Path | None) -> Row:
    folder = data_folder(configured)
    why = "the config" if configured else "HARNESS_DATA" if os.environ.get("HARNESS_DATA") else "default"
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
