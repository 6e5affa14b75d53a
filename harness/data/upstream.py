"""Upstream's own words: a script at a pinned commit, fetched into the data folder and read, never run.

The wording of a benchmark is its authors' and is not ours to copy; the user fetches it
(`harness data fetch TASK --prompts`) into ROOT/prompts/<commit>/, ROOT being the task's data root. A `Pin` knows the
sha256 of each file at its commit, so that a copy with other words is called `modified`, not `upstream`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

from harness.data.places import lock_folder
from harness.errors import BadData, HarnessError, MissingData
from harness.files import atomic_write
from harness.types import Fidelity, Json, Setting

FOLDER: Final = "prompts"  #: of all wordings, under a task's data root
RAW_URL: Final = "https://raw.githubusercontent.com/{repository}/{commit}/{path}"
SIZE_LIMIT: Final = 4 << 20  #: bytes of one script
_PATIENCE: Final = 30.0  # seconds a silent server, or another command, is waited for
_TRIES: Final = 5  # of a file whose server asks for pauses


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """Where upstream's words are.

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


def choose_words(what: str) -> Setting:
    """A task's setting `prompts`: whose words its input has, ours (`own`) or those of a `Pin` (`upstream`).

    Args:
        what: the words, as in `whose words go with the image`.
    """
    return Setting(
        name="prompts",
        type=str,
        default="own",
        identity=True,
        help=f"{what}: ours, or upstream's, once fetched",
        choices=("own", "upstream"),
    )


class Upstream:
    """The pinned files in one data root."""

    def __init__(self, root: Path, pin: Pin) -> None:
        self.root = root
        self.pin = pin

    def literals(self, path: str) -> Mapping[str, Json]:
        """The constants of one file by name, see `harness.data.literals.read_literals`.

        Raises:
            MissingData: the file has not been fetched.
            BadData: it is not a readable Python file.
        """
        from harness.data.literals import read_literals

        try:
            return read_literals(self._read(path).decode("utf-8-sig"))
        except ValueError as error:
            raise BadData(str(error), where=str(self.pin.folder(self.root) / path), remedy=self._remedy) from None

    def text(self, path: str, name: str, *keys: str) -> str:
        """One text: the constant `name` or, with `keys`, a value of its nested dicts.

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
        """One whole file, for words that are in no script.

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
        tell: is called with a line when the server asks for a pause.

    Raises:
        HarnessError: a file does not come; nothing is left half written.
    """
    import httpx

    # On use: a list of tasks that only read wordings must not wait for what downloads them.
    from harness.data.transfer import Waits, open_url, read_pieces
    from harness.http.reading import ENCODINGS

    waits = Waits(tell)
    with lock_folder(root / FOLDER, wait=_PATIENCE), httpx.Client(timeout=_PATIENCE) as client:
        for path in pin.files:
            address = url.format(repository=pin.repository, commit=pin.commit, path=path)
            try:
                for tries_left in reversed(range(_TRIES)):
                    waits.rest()
                    with open_url(client, address, {"accept-encoding": ENCODINGS}) as reply:
                        if not reply.is_success and tries_left and waits.note(address, reply.headers):
                            continue
                        reply.raise_for_status()
                        data = b"".join(read_pieces(reply, limit=SIZE_LIMIT, what="a script"))
                        atomic_write(pin.folder(root) / path, data, sync=False)
                        break
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
    with lock_folder(root / FOLDER, wait=_PATIENCE):
        for path in pin.files:
            name = Path(path).name
            places = (source / path, source / name, source)
            found = next((place for place in places if place.is_file() and place.name == name), None)
            if found is None:
                what = f"{path} is not in {source}"
                raise MissingData(what, remedy="give the folder that holds upstream's repository")
            atomic_write(pin.folder(root) / path, found.read_bytes(), sync=False)
    return Upstream(root, pin)
