"""The paper table as a page of its own: one table in the style of the leaderboard, without a script."""

from __future__ import annotations

import base64
import hashlib
import re
from importlib.resources import files as packaged
from typing import Any

from harness.matrix import Matrix
from harness.text import plain


def render_matrix(table: Matrix) -> str:
    """The table as HTML without external resources; heads over several columns, footnotes with links back."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup, escape

    def drop_controls(value: Any) -> Any:
        return plain(value) if type(value) is str else value

    def break_name(name: str) -> Markup:  # a browser may go to the next line behind these signs
        return Markup(re.sub(r"([:_/+-])(?=\w)", r"\1<wbr>", str(escape(plain(name)))))  # noqa: S704 - escaped before

    folder = packaged(__package__ or "") / "templates"
    style = "".join((folder / name).read_text(encoding="utf-8") for name in ("page.css", "matrix.css"))
    hashed = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{hashed}'; base-uri 'none'; form-action 'none'"
    environment = Environment(
        loader=PackageLoader(__package__ or "", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=drop_controls,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["breakable"] = break_name
    return environment.get_template("matrix.html").render(table=table, style=style, policy=policy)
