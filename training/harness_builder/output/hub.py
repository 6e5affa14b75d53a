"""What the hub says no to when a set is brought, in the words of this harness; and its client without its own lines."""

from __future__ import annotations

import importlib
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from harness import HarnessError
from harness.data.downloads import unreachable
from harness.data.hub import no_answer

_LONGEST = 300  # characters of what the hub says of itself
_PARTS = ("constants", "errors", "utils")


@contextmanager
def said(repo: str, endpoint: str) -> Generator[None]:
    """Raises HarnessError for what the client raises: the first error of a chain of them that is known."""
    errors: Any = importlib.import_module("huggingface_hub.errors")
    try:
        yield
    except HarnessError:
        raise
    except errors.HFValidationError:
        what = f"{repo!r} is no name of a data set"
        raise HarnessError(what, remedy="give OWNER/NAME: letters, digits, '-', '_' and '.'") from None
    except errors.OfflineModeIsEnabled:
        raise HarnessError("HF_HUB_OFFLINE is set, so nothing is pushed", remedy="unset HF_HUB_OFFLINE") from None
    except (errors.HfHubHTTPError, *no_answer(), RuntimeError, ValueError) as error:
        found = _first(error, (errors.HfHubHTTPError, *no_answer()))
        if isinstance(found, errors.HfHubHTTPError):
            raise _refused(found, repo) from None
        if found is not None:
            raise unreachable(endpoint, found) from None
        raise HarnessError(f"the hub does not take the set: {_short(error)}", where=repo) from None


def askable(repo: str) -> None:
    """Whether the hub may be asked for this name; raises what its client would before it asks."""
    constants, errors, utils = (importlib.import_module(f"huggingface_hub.{name}") for name in _PARTS)
    utils.validate_repo_id(repo)
    if constants.HF_HUB_OFFLINE:
        raise errors.OfflineModeIsEnabled


@contextmanager
def no_bars() -> Generator[None]:
    """Without the client's bars: what a person should read is told by `tell`."""
    utils: Any = importlib.import_module("huggingface_hub.utils")
    before = utils.are_progress_bars_disabled()
    utils.disable_progress_bars()
    try:
        yield
    finally:
        if not before:
            utils.enable_progress_bars()


def _first(error: BaseException | None, kinds: tuple[type[BaseException], ...]) -> BaseException | None:
    """The error, or what it came of, that is one of these."""
    while error is not None and not isinstance(error, kinds):
        error = error.__cause__ or error.__context__
    return error


def _refused(error: Any, repo: str) -> HarnessError:
    status = int(error.response.status_code)
    if status == 401:
        return HarnessError("the hub does not know the token it was given", remedy="set HF_TOKEN to a valid one")
    if status == 403:
        remedy = "take a token that may write, of somebody who may write there"
        return HarnessError(f"the token may not write to {repo}: {_short(error)}", remedy=remedy)
    if status == 404:
        return HarnessError(f"the hub shows no data set {repo} to this token", remedy="see the owner and the name")
    return HarnessError(
        f"the hub answered {status}: {_short(error)}",
        where=repo,
        remedy="run it again: what is there is not sent again",
    )


def _short(error: object) -> str:
    return " ".join(str(error).split())[:_LONGEST]
