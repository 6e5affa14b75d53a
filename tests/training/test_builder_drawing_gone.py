"""A drawing that is gone between two looks at it ends a build with what to do, and the next draws it anew."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from harness_builder.quality import ImageMark
from harness_builder.quality.duplicates import MarkStore

from harness import Image
from tests.training.test_builder_command_mis import in_the_mini_world
from tests.training.trained import called


def test_a_drawing_that_disappears_before_it_is_compared_is_told_and_drawn_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = in_the_mini_world(tmp_path, sort={"review": "none"})
    command = ["build", "mis", "--config", str(config), "--out", str(tmp_path / "out")]
    gone, alone = list[Path](), threading.Lock()

    def looked(marks: MarkStore, image: Image) -> ImageMark:
        with alone:
            if not gone:
                gone.append(tmp_path / "out/work" / image.path)
                gone[0].unlink()
        return of(marks, image)

    with monkeypatch.context() as patched:
        of = MarkStore.get
        patched.setattr(MarkStore, "get", looked)
        code, _, err = called(command)
    assert (code, "Traceback" in err) == (2, False), err
    assert f"a drawing cannot be read any more: missing ({gone[0]})" in err
    assert "it is drawn anew" in err

    code, _, err = called(command)
    assert code == 0, err
    assert gone[0].is_file()
