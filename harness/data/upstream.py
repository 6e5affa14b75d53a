"""Upstream's own words: a script at a pinned commit, fetched into the data folder and read, never run.

The wording of a benchmark is its authors' and is not ours to copy; the user fetches it
(`harness data fetch TASK --prompts`) into ROOT/prompts/<commit>/, ROOT being the task's data root. A `Pin` knows the
sha256 of each file at its commit, so that a copy with other words is called `modified`, not `upstream`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from harness.data.holding import held
from harness.errors import BadData, HarnessError, MissingData
from harness.types import Fidelity, Json

if TYPE_CHECKING:
    import httpx

    from harness.data.waiting import Waits

FOLDER: Final = "prompts"  #: of all wordings, under a task's data root
RAW_URL: Final = "https://raw.githubusercontent.com/{repository}/{commit}/{path}"
SIZE_LIMIT: Final = 4 << 20  #: bytes of one script
_PATIENCE: Final = 30.0  # seconds a silent server, or another command, is waited for
_TRIES: Final = 5  # of a file whose server asks for pauses


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """Where upstream's words stand.

    Attributes:
        task: the task they belong to.
        repository: owner/name on GitHub.
        commit: full hash.
        files: path in the repository -> sha256 of that file at the commit.
    """

    task: str
    repository: str
    commit: str
    files: Mapping[str, str]

    def folder(self, root: Path) -> Path:
        """Where the files lie under the task's data root."""
        return root / FOLDER / self.commit

    @property
    def source(self) -> tuple[str, str, tuple[str, ...]]:
        """As `DataSource.prompts` has it."""
        return self.repository, self.commit, tuple(self.files)


class Upstream:
    """The pinned files in one data root."""

    def __init__(self, root: Path, pin: Pin) -> None:
        self.root = root
        self.pin = pin

    def literals(self, path: str) -> Mapping[str, Json]:
        """The constants of one file by name, see `harness.data.literals.literals`.

        Raises:
            MissingData: the file has not been fetched.
            BadData: it is not a readable Python file.
        """
        from harness.data.literals import literals

        try:
            return literals(self._read(path).decode("utf-8-sig"))
        except ValueError as error:
            raise BadData(str(error), where=str(self.pin.folder(self.root) / path), remedy=self._remedy) from None

    def text(self, path: str, name: str, *keys: str) -> str:
        """One text: the constant `name` or, with `keys`, what stands there in its nested dicts.

        Raises:
            MissingData: the file has not been fetched.
            BadData: it has no such text.
        """
        value: Json = self.literals(path).get(name)
        for key in keys:
            value = cast("dict[str, Json]", value).get(key) if isinstance(value, dict) else None
        if not isinstance(value, str):
            where = f"{self.pin.folder(self.root) / path}, {'.'.join((name, *keys))}"
            raise BadData("upstream's script has no such text", where=where, remedy=self._remedy)
        return value

    def document(self, path: str) -> str:
        """One whole file, for words that stand in no script.

        Raises:
            MissingData: the file has not been fetched.
            BadData: it is not UTF-8 text.
        """
        try:
            return self._read(path).decode("utf-8-sig")
        except UnicodeDecodeError:
            where = str(self.pin.folder(self.root) / path)
            raise BadData("the file is not UTF-8 text", where=where, remedy=self._remedy) from None

    def fidelity(self, *paths: str) -> Fidelity:
        """`upstream` when these files are byte for byte those of the pinned commit, else `modified`."""
        from hashlib import sha256

        same = all(sha256(self._read(path)).hexdigest() == self.pin.files.get(path) for path in paths)
        return "upstream" if same else "modified"

    @property
    def _remedy(self) -> str:
        return f"harness data fetch {self.pin.task} --prompts"

    def _read(self, path: str) -> bytes:
        try:
            return (self.pin.folder(self.root) / path).read_bytes()
        except OSError:
            what = f"upstream's wording of {self.pin.task} is not on this machine"
            raise MissingData(what, where=str(self.pin.folder(self.root) / path), remedy=self._remedy) from None


def fetch(pin: Pin, root: Path, *, url: str = RAW_URL, tell: Callable[[str], None] = lambda _line: None) -> Upstream:
    """Download the pinned files.

    Args:
        pin: what to fetch.
        root: the task's data root.
        url: template of a file's address with `repository`, `commit` and `path`.
        tell: hears that the server is waited for.

    Raises:
        HarnessError: a file does not come; nothing is left half written.
    """
    import httpx

    from harness.data.waiting import Waits  # on use: tasks that only read words are listed without what waits

    waits = Waits(tell)
    with _alone(root), httpx.Client(timeout=_PATIENCE) as client:
        for path in pin.files:
            address = url.format(repository=pin.repository, commit=pin.commit, path=path)
            try:
                _write(pin.folder(root) / path, _downloaded(client, address, waits))
            except httpx.HTTPError as error:
                what = f"could not download {address}: {error or type(error).__name__}"
                remedy = f"harness data fetch {pin.task} --prompts --from PATH, a copy of {pin.repository}"
                raise HarnessError(what, remedy=remedy) from None
    return Upstream(root, pin)


def copy(pin: Pin, root: Path, source: Path) -> Upstream:
    """Take the pinned files from a copy the user has: a clone, a folder with the files, or the one file needed.

    Raises:
        MissingData: a file is not there.
    """
    with _alone(root):
        for path in pin.files:
            _write(pin.folder(root) / path, _local(source, path))
    return Upstream(root, pin)


def _local(source: Path, path: str) -> bytes:
    for place in (source / path, source / Path(path).name, source):
        if place.is_file() and place.name == Path(path).name:
            return place.read_bytes()
    raise MissingData(f"{path} is not in {source}", remedy="give the folder that holds upstream's repository")


def _alone(root: Path) -> AbstractContextManager[None]:
    """The folder of all wordings for this command alone; another one's few files are waited for."""
    return held(root / FOLDER, wait=_PATIENCE)


def _downloaded(client: httpx.Client, address: str, waits: Waits) -> bytes:
    from harness.data.asking import asked, pieces
    from harness.http.reading import ENCODINGS

    for trial in range(_TRIES):
        waits.rest()
        with asked(client, address, {"accept-encoding": ENCODINGS}) as reply:
            if reply.is_success or trial == _TRIES - 1 or not waits.note(address, reply.headers):
                reply.raise_for_status()
                return b"".join(pieces(reply, limit=SIZE_LIMIT, what="a script"))
    raise AssertionError("the last trial returns or raises")


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    partial.write_bytes(data)
    partial.replace(path)
