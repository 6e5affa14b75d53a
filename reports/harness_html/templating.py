"""What the pages are made with: templates that escape all text, packaged files, and the policy of what a page loads."""

from __future__ import annotations

import base64
import hashlib
import re
from importlib.resources import files as packaged
from typing import TYPE_CHECKING, Any, Final

from markupsafe import Markup, escape

from harness.board.costs import format_usd
from harness.board.display import format_estimate, format_value
from harness.text import plain

if TYPE_CHECKING:
    from jinja2 import Template

#: a name up to a place where it may break: after a mark, or after so many characters without one
_PIECES: Final = re.compile(r"[^/\-_.:\s]{0,24}[/\-_.:\s]+|[^/\-_.:\s]{1,24}")
_SIGNS: Final = re.compile(r"([:_/+-])(?=\w)")  #: behind these a table's head may break


def load_template(name: str) -> Template:
    """A template of this package. It escapes all text, and a name that it does not get is an error."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader(__package__ or "", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_drop_controls,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Any] = {
        "figure": format_value,
        "usd": format_usd,
        "estimate": format_estimate,
        "breaks": _mark_breaks,
        "breakable": _break_head,
    }
    environment.filters.update(filters)
    return environment.get_template(name)


def read_asset(name: str) -> str:
    """The text of a style or a script of this package."""
    return (packaged(__package__ or "") / "templates" / name).read_text(encoding="utf-8")


def declare_policy(style: str, script: str = "") -> str:
    """The policy by which a page loads only its own style and script, by hash, and nothing else."""
    sources = [f"style-src '{_hash(style)}'", *([f"script-src '{_hash(script)}'"] if script else ())]
    return "; ".join(("default-src 'none'", *sources, "base-uri 'none'", "form-action 'none'"))


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _mark_breaks(text: str) -> Markup:
    """A name that may break after `/`, `-`, `_`, `.` and `:`, and inside a long word only if it has none of these."""
    escaped = (str(escape(piece)) for piece in _PIECES.findall(plain(str(text))))
    return Markup("<wbr>").join(map(Markup, escaped))


def _break_head(name: str) -> Markup:
    """A head of the paper table, which a browser may continue on the next line behind a sign."""
    return Markup(_SIGNS.sub(r"\1<wbr>", str(escape(plain(name)))))  # noqa: S704 - escaped before


def _drop_controls(value: object) -> object:
    """Text without control characters; markup that templates marked safe stays."""
    return plain(value) if type(value) is str else value
