"""Files that outlive a killed process: replaced in one step, locked, or only appended to.

Invariants:
- To every reader a replaced file is the old or the new one, never half. The new content goes into a scratch file of the
  same folder, which is created exclusively: a link of that name is removed and never followed.
- A lock file stays when its lock is released. Were it deleted, one process could hold the deleted file while another
  locks a new one, and both would write.
- A record is appended by one `write`. The torn end that a killed process or a full disk leaves is cut: at once after a
  failed write, else when the file is opened the next time.

What the system refuses is raised as OSError, a full disk too: the caller knows what to say. `report_write_errors` turns
it into a HarnessError.
"""

from __future__ import annotations

import errno
import os
import sys
import threading
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Final, Literal, Self

from harness.errors import HarnessError

if TYPE_CHECKING:
    from filelock import BaseFileLock

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_BLOCK: Final = 1 << 16
#: a process that only looks whether a lock is held takes it for a moment; a writer waits for it so long
LOOK_SECONDS: Final = 0.5


def find_user_folder(kind: Literal["config", "data"]) -> Path:
    """The user's folder of that kind, as platformdirs says; it may be missing.

    Each start of the command asks for it, and on Linux the import of platformdirs takes longer than the answer.
    """
    if "linux" in sys.platform:
        given = os.environ.get(f"XDG_{kind.upper()}_HOME", "")
        usual = "~/.config" if kind == "config" else "~/.local/share"
        return Path(given if given.startswith("/") else usual).expanduser() / "harness"
    import platformdirs

    return platformdirs.user_config_path("harness") if kind == "config" else platformdirs.user_data_path("harness")


def find_configs() -> list[Path]:
    """The default config files that exist: the user's, then `./harness.yaml`, which overrides it."""
    files = (find_user_folder("config") / "harness.yaml", Path("harness.yaml"))
    return [path for path in files if path.exists()]


@contextmanager
def open_atomic(path: Path, *, sync: bool = True, scratch: Path | None = None) -> Generator[IO[bytes]]:
    """Write a file that takes the place of `path` when the body ends; if the body raises, `path` does not change.

    Args:
        path: of the file; its folder is made if it is missing.
        sync: make the content outlive a power cut. Leave it out for content that can be made again.
        scratch: the file that is written first, in the same folder; by default a hidden one of this thread. Name it if
            another process may have to find and delete it. If one is deleted meanwhile, FileNotFoundError is raised and
            `path` does not change.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = scratch or path.with_name(f".{path.name}.{os.getpid()}.{threading.get_native_id()}")
    scratch.unlink(missing_ok=True)
    try:
        with scratch.open("xb") as file:
            yield file
            if sync:
                file.flush()
                os.fsync(file.fileno())
        scratch.replace(path)
    except BaseException:
        with suppress(OSError):
            scratch.unlink(missing_ok=True)
        raise


def atomic_write(
    path: Path, content: bytes | str | Iterable[str], *, sync: bool = True, scratch: Path | None = None
) -> None:
    """Replace a file, or make it, in one step. The arguments are those of `open_atomic`.

    Text becomes UTF-8; a lone surrogate is written as its escape. Pieces of text are written one after the other, and
    may be read from the old file meanwhile.
    """
    with open_atomic(path, sync=sync, scratch=scratch) as file:
        if isinstance(content, bytes):
            file.write(content)
        else:
            pieces = (content,) if isinstance(content, str) else content
            file.writelines(piece.encode("utf-8", "backslashreplace") for piece in pieces)


class HeldLock:
    """A lock that this process holds until `release`, which any thread may call, or until the end of `with`."""

    __slots__ = ("_lock",)

    def __init__(self, lock: BaseFileLock) -> None:
        self._lock = lock

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def release(self) -> None:
        """Let other processes have the lock. A second call does nothing."""
        self._lock.release()


def lock_file(path: Path, *, busy: HarnessError | None = None, wait: float = 0.0) -> HeldLock:
    """Take the lock of a lock file; the file and its folder are made if they are missing.

    Args:
        path: of the lock file; for the lock of another file see `lock_path`.
        busy: is raised when another holder has not released the lock after `wait` seconds. Without it, this waits
            without a limit.
        wait: seconds.
    """
    from filelock import FileLock, Timeout  # a tenth of a second, which no start of the command has to wait for

    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, thread_local=False)
    try:
        lock.acquire(timeout=-1 if busy is None else wait)
    except Timeout:
        assert busy is not None
        raise busy from None
    return HeldLock(lock)


def lock_path(path: Path) -> Path:
    """The lock file of a file: hidden in the same folder, so that replacing the file leaves its lock alone."""
    return path.with_name(f".{path.name}.lock")


class AppendFile:
    """A file that only grows, by whole records: lines, or rows of one length.

    The caller sees to it that no other process appends at the same time.

    Args:
        path: of the file; made if it is missing. Its folder must exist.
        row: bytes of a record; 0 for lines.

    Attributes:
        end: bytes of all whole records: where the next one begins.
    """

    def __init__(self, path: Path, *, row: int = 0) -> None:
        self.path = path
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            size = os.fstat(self._descriptor).st_size
            self.end = size - size % row if row else self._find_last_newline(size)
            if self.end != size:
                os.ftruncate(self._descriptor, self.end)
        except BaseException:
            os.close(self._descriptor)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def append(self, data: bytes, *, sync: bool = False) -> None:
        """Append whole records in one write; if that fails, OSError is raised and the file ends as before.

        Args:
            data: lines with their newlines, or rows.
            sync: make them outlive a power cut before this returns.
        """
        written = 0
        try:
            written = os.write(self._descriptor, data)
            if sync and written == len(data):
                os.fsync(self._descriptor)
        except OSError:
            os.ftruncate(self._descriptor, self.end)
            raise
        if written != len(data):  # a full disk had room for a part only
            os.ftruncate(self._descriptor, self.end)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
        self.end += written

    def read(self, size: int, offset: int) -> bytes:
        """Up to `size` bytes from an offset."""
        return os.pread(self._descriptor, size, offset)

    def sync(self) -> None:
        """Make all that was appended outlive a power cut."""
        os.fsync(self._descriptor)

    def close(self) -> None:
        """Close the file. Nothing is synced."""
        os.close(self._descriptor)

    def _find_last_newline(self, size: int) -> int:
        end = size
        while end:
            start = max(0, end - _BLOCK)
            newline = self.read(end - start, start).rfind(b"\n")
            if newline >= 0:
                return start + newline + 1
            end = start
        return 0


def read_lines(path: Path, start: int = 0) -> Iterator[bytes]:
    """Each whole line from an offset on, with its newline. A torn end is left out, and a missing file is empty."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        file.seek(start)
        for line in file:
            if not line.endswith(b"\n"):
                return
            yield line


def resolve_name(path: Path) -> Path:
    """The same path with a last name, so that files can be made next to it; `.` and `..` are resolved."""
    return path if path.name not in ("", "..") else path.resolve()


def is_full(error: OSError) -> bool:
    """Whether there is no room left: on the disk, in a quota, or below a size limit."""
    return error.errno in _FULL


@contextmanager
def report_write_errors(path: Path, *, what: str = "cannot write", remedy: str = "") -> Generator[None]:
    """Raise a HarnessError for an OSError of the body. It names the file that the error knows, else `path`."""
    try:
        yield
    except OSError as error:
        why = error.strerror or str(error) or type(error).__name__
        raise HarnessError(f"{what}: {why}", where=str(error.filename or path), remedy=remedy) from error
