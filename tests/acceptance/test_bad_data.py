"""Bad data and a full disk: what each costs, and that the run goes on or stops whole."""

from __future__ import annotations

import errno
import json
import struct
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.store import RunFolder
from harness.testing.faults import no_quota
from tests.acceptance import layouts, plays, upstream
from tests.acceptance.commands import command
from tests.acceptance.world import UNSAFE, World, refused


def png_of(width: int, height: int) -> bytes:
    """A PNG that says it has so many pixels, and is a few bytes long."""
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(b"\0" * 9))]
    written = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in [*chunks, (b"IEND", b"")]
    )
    return b"\x89PNG\r\n\x1a\n" + written


def outside(path: Path) -> None:
    """Put a link that leads out of the data root in a file's place."""
    secret = path.parents[5] / "secret.png"
    secret.write_bytes(layouts.picture(999))
    path.unlink()
    path.symlink_to(secret)


def a_folder(path: Path) -> None:
    """Put a folder in a file's place."""
    path.unlink()
    path.mkdir()


SPOILT: dict[str, Callable[[Path], object]] = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-20]),
    "empty": lambda path: path.write_bytes(b""),
    "no image": lambda path: path.write_text("this is no image", encoding="utf-8"),
    "huge": lambda path: path.write_bytes(png_of(20_000, 20_000)),
    "missing": lambda path: path.unlink(),
    "a folder": a_folder,
    "a link out of the root": outside,
}
#: paths in the JSON that are never opened, though there is an image at each
ESCAPES = {"up": "../../secret.png", "inside and up": "easy_image/../../../secret.png", "absolute": "{root}/secret.png"}


def test_a_bad_image_costs_its_sample_alone_and_is_named(world: World, tmp_path: Path) -> None:
    root = world.layout.root / "mis"
    world.draw(len(SPOILT) + len(ESCAPES) + 5)
    (tmp_path / "secret.png").write_bytes(layouts.picture(999))
    named = [_spoil(root, number, spoil) for number, spoil in enumerate(SPOILT.values(), 1)]
    named += _escape(root, tmp_path, len(SPOILT) + 1)
    world.well()
    ended = world.command()
    assert ended.code == 3, ended.err
    look = f"harness data verify mis:easy --data {world.layout.root}"
    assert f"bad_sample {len(named)} (outside_root); `{look}` names the images that cannot be used;" in ended.err
    items = world.items()
    assert [item.outcome for item in items] == ["bad_sample"] * len(named) + ["answered"] * 5
    for item, path in zip(items, named, strict=False):
        assert path in item.response["message"]
    assert world.split()["outcomes"] == upstream.outcomes(items)
    assert set(world.calls("subject")) == {len(named) + more for more in range(1, 6)}
    assert world.split()["metrics"]["ASR"]["unresolved"] == len(named)


def _spoil(root: Path, number: int, spoil: Callable[[Path], object]) -> str:
    name = f"easy_image/{number}/object2.png"
    spoil(root / name)
    return name


def _escape(root: Path, secret: Path, first: int) -> list[str]:
    rows: list[dict[str, Any]] = json.loads((root / "mis_easy.json").read_text(encoding="utf-8"))
    paths = [path.format(root=secret) for path in ESCAPES.values()]
    for number, path in enumerate(paths, first):
        rows[number - 1]["image_path1"] = path
    (root / "mis_easy.json").write_text(json.dumps(rows), encoding="utf-8")
    return paths


def test_a_mended_image_is_asked_for_by_running_again(world: World) -> None:
    world.draw(3)
    image = world.layout.root / "mis" / "easy_image" / "2" / "object1.png"
    whole = image.read_bytes()
    image.write_bytes(whole[:100])
    world.well()
    assert world.command().code == 3
    image.write_bytes(whole)
    assert world.command().code == 0
    assert world.calls("subject") == {1: 1, 2: 1, 3: 1}
    assert world.split()["outcomes"]["answered"] == world.split()["n"] == 3


# ---------------------------------------------------------------------------------------------------------- data files

MIS_RECORD = {"question": "q", "category": "Hate", "image_path1": "a.png", "image_path2": "b.png"}
CHAT = {"safe_image_path": "a", "unsafe_image_path": "b", "intent": "i", "Type": "t", "queries": ["q"]}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{\n"easy": []\n}', ("mis_easy.json", "is an object, not a list")),
        ('[{"question": "q",]', ("mis_easy.json, line 1, column 1", "not JSON")),
        (json.dumps([MIS_RECORD, "text"]), ("mis_easy.json, record 2", "is text, not an object")),
        (json.dumps([MIS_RECORD, {**MIS_RECORD, "question": None}]), ("record 2, field question", "is missing")),
        (json.dumps([{**MIS_RECORD, "image_path1": 7}]), ("record 1, field image_path1", "is a number, not text")),
        (json.dumps([{**MIS_RECORD, "category": "  "}]), ("record 1, field category", "is blank")),
        (json.dumps([{**MIS_RECORD, "id": [1]}]), ("record 1, field id", "is a list")),
        (b"\xff\xfe\x00", ("mis_easy.json", "not UTF-8 at byte 0")),
    ],
)
def test_a_mis_file_of_another_form_is_named_with_record_and_field(
    world: World, content: str | bytes, said: tuple[str, ...]
) -> None:
    place = world.layout.root / "mis" / "mis_easy.json"
    place.parent.mkdir(parents=True)
    place.write_bytes(content if isinstance(content, bytes) else content.encode())
    refused(world, world.words(), *said)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([], ("combined.json", "is a list, not an object")),
        ({"embodied": []}, ("combined.json", "field chat", "is missing")),
        ({"chat": {}}, ("combined.json", "field chat", "is an object, not a list")),
        ({"chat": [{**CHAT, "queries": ["q", 3]}]}, ("chat, record 1, field queries[1]", "is a number, not text")),
        ({"chat": [CHAT, {**CHAT, "unsafe_image_path": None}]}, ("chat, record 2, field unsafe_image_path",)),
    ],
)
def test_an_mssbench_file_of_another_form_is_named_with_record_and_field(
    world: World, content: object, said: tuple[str, ...]
) -> None:
    place = world.layout.root / "mssbench" / "combined.json"
    place.parent.mkdir(parents=True)
    place.write_text(json.dumps(content), encoding="utf-8")
    refused(world, world.words(tasks="mssbench:chat"), *said)


# --------------------------------------------------------------------------------------------------------------- models


def test_a_full_disk_stops_the_run_and_nothing_is_torn(world: World) -> None:
    world.draw(60)
    world.server.play = plays.both
    limited = "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)); import runpy; "
    start = f"{limited} sys.argv[0] = 'harness'; runpy.run_module('harness', run_name='__main__')"
    words = command(world.words("--min-coverage", 0.5))
    done = subprocess.run([words[0], "-c", start, *words[3:]], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2, done.stderr
    assert "cannot write" in done.stderr
    kept = {line["id"] for line in upstream.lines(world.run_folder / "mis" / "responses.jsonl") if _is_final(line)}
    assert 5 < len(kept) < 60
    world.server.calls.clear()
    assert world.command("--min-coverage", 0.5).code == 0
    assert not {int(name) for name in kept} & world.calls("subject").keys()
    assert world.split()["n"] == 60


def test_a_note_that_a_full_disk_does_not_take_hides_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(RunFolder, "log", full)
    world.draw(30)
    world.play(subject=lambda number: "an answer" if number < 5 else no_quota(), judge=lambda _: UNSAFE)
    ended = world.command()
    assert ended.code == 2
    assert "the quota is used up" in ended.err
    assert "resume with: harness run" in ended.err


def _is_final(line: upstream.Line) -> bool:
    return str(line["outcome"]) != "error"
