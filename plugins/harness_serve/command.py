"""`harness serve`: its flags and its output."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness import HarnessError
from harness.cli.one_model import chosen, model_flags
from harness.cli.options import FiniteRange, show_examples
from harness.text import say

if TYPE_CHECKING:
    from .server import ServedModel


@click.command(
    "serve", epilog=show_examples("harness serve --model mini/base", "harness serve --model hf/NAME --port 8000 --json")
)
@model_flags
@click.option("--name", default="", metavar="TEXT", help="Name of the model for clients; default: as in --model.")
@click.option(
    "--host", default="", metavar="ADDRESS", help="Address to listen on; default: 127.0.0.1, this machine alone."
)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, show_default="any free one", help="Port to listen on."
)
@click.option("--token-env", default="", metavar="VAR", help="Environment variable with the token; default: a new one.")
@click.option(
    "--files",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="The one folder whose images clients may name as file://…; default: none.",
)
@click.option(
    "--max-request-mib",
    type=FiniteRange(min=0, min_open=True),
    default=64.0,
    show_default=True,
    help="Largest request with its images, in MiB.",
)
@click.option("--json", "as_json", is_flag=True, help="Print address, model and token as one line of JSON.")
@click.pass_context
def command(ctx: click.Context, /, **given: Any) -> int:
    """Serve one model to OpenAI clients until Ctrl-C.

    The first line of stdout is the base URL, printed once the server answers calls; stderr says how to use it. Exit
    codes: 0 ended by Ctrl-C or SIGTERM, 2 an error you can fix.
    """
    from .server import ServeOptions, serve

    spec, policy = chosen(ctx, given)
    variable: str = given["token_env"]
    token = os.environ.get(variable, "").strip() if variable else ""  # without a variable there is a new one
    if variable and not token:
        raise HarnessError(f"--token-env {variable}: there is no token", remedy=f"export {variable}=…")
    if not all("!" <= letter <= "~" for letter in token):
        raise HarnessError(f"{variable} holds no valid token", remedy="use ASCII without spaces")
    options = ServeOptions(
        name=given["name"] or spec.ref,
        host=given["host"],
        port=given["port"],
        token=token,
        files=given["files"],
        body_limit=int(given["max_request_mib"] * (1 << 20)),
    )
    serve(spec, policy, options, ready=lambda served: _print_usage(served, variable, as_json=given["as_json"]))
    return 0


def _print_usage(served: ServedModel, variable: str, *, as_json: bool) -> None:
    """Print the address on stdout and its usage on stderr; never print the user's own token."""
    url = f"{served.url}/v1"
    if as_json:
        token = {} if variable else {"token": served.token}
        click.echo(json.dumps({"base_url": url, "model": served.name, **token}))
    else:
        click.echo(url)
    say(
        f"{served.name} is served; Ctrl-C ends it. To use it:\n"
        f"  export OPENAI_BASE_URL={url}\n"
        f"  export OPENAI_API_KEY={f'${variable}' if variable else served.token}",
        err=True,
    )
