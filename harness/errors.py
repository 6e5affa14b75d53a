"""The tree of errors.

    Exception
    └── HarnessError            an error you can fix: exit 2, no traceback
        ├── UnknownName         a model, task, judge, report, flag or setting that does not exist
        ├── BadData             a data file is not what the task expects: file, record, field
        ├── MissingData         a data set is not on this machine: says how to get it
        ├── IdentityMismatch    a run folder belongs to another model or other settings
        ├── EndpointDown        an endpoint answered only errors: the run stops before it wastes more calls
        ├── BudgetSpent         the next call may cost more than the user allows: exit 3, all answers are kept
        ├── TooManyOpen         this process or machine can have no more files open
        ├── Forbidden           a server refuses the user, or, once it has answered, one request
        └── PluginError         a plugin raised or gave something that its contract does not allow: says which plugin
    BadImage                    an image of one sample is missing, broken or out of bounds: becomes `bad_sample`

Anything else that escapes is a bug: exit 1 with a short report file.
"""

from __future__ import annotations

import errno
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import cast

#: errors of a disk or of rights, which the user can fix
FIXABLE = frozenset(
    {
        errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.EIO,
        errno.EMFILE, errno.ENFILE, errno.EFBIG, errno.ENAMETOOLONG, errno.ESTALE, errno.ENXIO,
    }
)  # fmt: skip


class HarnessError(Exception):
    """An error the user can fix.

    Attributes:
        what: what is wrong, in one sentence without a full stop.
        where: the file, record, setting or plugin at fault; empty when the sentence says it.
        remedy: the command or setting that fixes it; empty when there is none.
    """

    def __init__(self, what: str, *, where: str = "", remedy: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.remedy = remedy

    def __str__(self) -> str:
        where = f" ({self.where})" if self.where else ""
        remedy = f"\n  {self.remedy}" if self.remedy else ""
        return f"{self.what}{where}{remedy}"


class UnknownName(HarnessError):
    """A name that does not exist; the remedy is the nearest spelling."""


class BadData(HarnessError):
    """A data file is not what the task expects; `where` names file, record number and field."""


class MissingData(HarnessError):
    """A data set is not on this machine; the remedy is the command that gets it."""


class IdentityMismatch(HarnessError):
    """A run folder was made by another model or with other settings; `what` lists the fields that differ."""


class EndpointDown(HarnessError):
    """An endpoint returned only errors; raised by the breaker."""


class BudgetSpent(HarnessError):
    """The next call may cost more than `--max-usd` leaves; calls on the wire have ended and are kept."""


class TooManyOpen(HarnessError):
    """No more file can be opened; raised by `harness.descriptors.check`. It ends the run or the judging."""


class Forbidden(HarnessError):
    """A server does not accept the key, does not allow this, or knows no such model or address: 401, 403, 404.

    If the model has not answered yet, no request will work, and this ends the run. Once it has answered, a gateway may
    refuse one prompt like this: that request ends as the Failure `forbidden` (`harness.limits.metered`).
    """


class PluginError(HarnessError):
    """A plugin raised or gave something that its contract does not allow; `what` names the plugin.

    Attributes:
        plugin: its name, with its distribution and version.
        said: what it raised or returned.
        kind: class of its exception; empty if it raised nothing.
        story: the traceback, or empty.
        log: the file that holds the traceback; empty until it is written.
        in_sample: what the sample that fails by it says; empty for what the plugin said alone.
    """

    def __init__(
        self,
        what: str,
        *,
        where: str = "",
        remedy: str = "",
        plugin: str = "",
        said: str = "",
        kind: str = "",
        story: str = "",
    ) -> None:
        super().__init__(what, where=where, remedy=remedy)
        self.plugin = plugin
        self.said = said or what
        self.kind = kind
        self.story = story
        self.log = ""
        self.in_sample = ""


def find_plugin_error(error: BaseException) -> PluginError | None:
    """The PluginError that an error is or has as its cause; None for all others."""
    return next((each for each in (error, error.__cause__) if isinstance(each, PluginError)), None)


def describe_value(value: object) -> str:
    """A value in words, for a message: None, or its type."""
    return "None" if value is None else f"a {type(value).__name__}"


def describe_error(error: BaseException) -> str:
    """Class and text of an error, even if its `__str__` raises; for a PluginError, what the plugin raised."""
    if isinstance(error, PluginError):
        return error.said
    try:
        return f"{type(error).__name__}: {error}".removesuffix(": ")
    except Exception:  # noqa: BLE001 - its own text raises
        return type(error).__name__


def describe_deed(error: BaseException) -> str:
    """What code did: `raised ValueError: text`, or what a plugin returned if it raised nothing."""
    if isinstance(error, PluginError) and not error.kind:
        return error.said.removeprefix("it ")
    return f"raised {describe_error(error)}"


class BadImage(Exception):
    """An image of one sample cannot be used; `reason` is a short code, `path` its place under the data root."""

    def __init__(self, path: str, reason: str, detail: str = "") -> None:
        super().__init__(f"{path}: {detail or reason}")
        self.path = path
        self.reason = reason


@contextmanager
def unwrap_groups() -> Generator[None]:
    """Raise the root error of an exception group, because the group itself does not say what went wrong."""
    try:
        yield
    except BaseExceptionGroup as group:
        error = find_root_error(group)
        raise error from error.__cause__


def find_root_error(error: BaseException) -> BaseException:
    """The one error of a group to report: an interrupt before a bug, a bug before what the user can fix."""

    def leaves(error: BaseException) -> Iterator[BaseException]:
        if isinstance(error, BaseExceptionGroup):
            for each in cast("BaseExceptionGroup[BaseException]", error).exceptions:
                yield from leaves(each)
        else:
            yield error

    return min(leaves(error), key=lambda each: (isinstance(each, Exception), isinstance(each, HarnessError)))
