"""How the text of flags, and the values of a config, become what a command works with."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.errors import HarnessError
from harness.settings import spread

if TYPE_CHECKING:
    from harness.models import ModelSpec

    ParamType = click.ParamType[Any]  # generic only since click 8.2
else:
    ParamType = click.ParamType


class Names(ParamType):
    """`a,b`, or a list of the config, as a tuple of names."""

    name = "names"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:  # noqa: ARG002
        """Split at commas; blanks are dropped."""
        return names(value)


class Devices(ParamType):
    """`0,1`, or a number or a list of the config, as text."""

    name = "devices"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ARG002
        """The devices with commas between."""
        from harness.replicas.placement import format_devices

        return str(format_devices(value))


class JudgeName(ParamType):
    """One `--judge`; the environment variable holds several with commas between."""

    name = "judge"

    def split_envvar_value(self, rv: str) -> Sequence[str]:
        """At commas: a model's name may hold blanks."""
        return names(rv)


class ModelsFile(ParamType):
    """`--models FILE.yaml`, or the list itself in a config."""

    name = "models"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[ModelSpec]:  # noqa: ARG002
        """The models of the file or the list. Raises HarnessError with the entry and the field that is wrong."""
        from .models_file import checked, read

        return read(Path(value)) if isinstance(value, str | Path) else checked(value, "the config")


class Pairs:
    """Callback of a repeatable `KEY=VALUE` flag: its texts over the config's mapping, key by key.

    A mapping in the config keeps its values' types. One level of nesting is spelled with a dot, as on the command line:
    `mis: {prompts: upstream}` is `mis.prompts`.
    """

    def __init__(self, *, dotted: bool) -> None:
        self._dotted = dotted

    def __call__(self, ctx: click.Context, param: click.Parameter, texts: Sequence[str]) -> dict[str, Any]:
        """The settings as a dict. Raises HarnessError for a text without `=`."""
        configured: Mapping[str, Any] = ctx.obj.get(param.name, {})
        values = spread(configured) if self._dotted else {k: _text(v) for k, v in configured.items()}
        return {**values, **pairs(texts, param.opts[0])}


def _text(value: Any) -> Any:
    """A mapping or a list is JSON, which is what a setting that takes one expects."""
    return json.dumps(value) if isinstance(value, dict | list) else value


def pairs(texts: Sequence[str], flag: str) -> dict[str, str]:
    """`KEY=VALUE` texts as a dict. Raises HarnessError for one without a key or without `=`."""
    found: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise HarnessError(f"{flag} {text}: not KEY=VALUE", remedy=f"write {flag} key=value")
        found[key] = value
    return found


def names(text: str | Sequence[str]) -> tuple[str, ...]:
    """`a,b` as names, blanks dropped; a list likewise."""
    parts = [text] if isinstance(text, str) else text
    return tuple(name.strip() for part in parts for name in str(part).split(",") if name.strip())
