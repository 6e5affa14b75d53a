"""Progress as a log's lines and as the live table."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from harness.metrics import rate
from harness.progress import LineProgress
from harness.progress.live import LiveProgress
from harness.types import Usage
from tests.core.clocked import ASR, Clock, answer, live


def test_a_log_gets_one_line_per_split_that_moved_every_few_seconds(clock: Clock) -> None:
    out = io.StringIO()
    with LineProgress(out, every=5.0, clock=clock) as progress:
        progress.begin("mis", "easy", total=100, metric=ASR)
        progress.begin("mis", "hard", total=100, metric=ASR)
        for _ in range(100):
            clock.now += 0.2
            answer(progress, 1)
    lines = out.getvalue().splitlines()
    assert len(lines) == 4
    assert all(text.startswith("mis:easy") for text in lines)
    assert lines[-1].startswith("mis:easy 100/100 (100%)")


def test_a_log_ends_with_the_last_state_even_within_the_interval(clock: Clock) -> None:
    out = io.StringIO()
    with LineProgress(out, clock=clock) as progress:
        progress.begin("mis", "easy", total=1, metric=ASR)
        answer(progress, 1)
        assert out.getvalue() == ""
    assert out.getvalue().startswith("mis:easy 1/1 (100%)")


def test_a_log_that_is_gone_does_not_end_the_run(clock: Clock) -> None:
    out = io.StringIO()
    progress = LineProgress(out, clock=clock)
    out.close()
    progress.note("still here")
    progress.begin("mis", "easy", total=1)
    clock.now = 99.0
    progress.answered("mis", "easy", "answered")


HOSTILE = "evil\x1b[2J\x1b]0;title\x07\u202e\nname"


def test_no_control_character_of_a_name_reaches_the_log(clock: Clock) -> None:
    out = io.StringIO()
    with LineProgress(out, clock=clock) as progress:
        progress.begin(HOSTILE, "easy", total=1, metric=rate(HOSTILE, "x", better="lower"))
        progress.answered(HOSTILE, "easy", "empty", share=(0.0, 1.0))
        progress.note(HOSTILE)
    assert not {"\x1b", "\x07", "\u202e"} & set(out.getvalue())
    assert len(out.getvalue().splitlines()) == 2


def frame(progress: LiveProgress, width: int = 120) -> str:
    console = Console(file=io.StringIO(), width=width, record=True)
    console.print(progress.picture())
    return console.export_text()


@pytest.mark.parametrize("width", [80, 120])
def test_the_live_table_shows_progress_value_counts_and_spending(clock: Clock, width: int) -> None:
    progress, _ = live(clock)
    progress.begin("mis", "easy", total=1675, metric=ASR)
    answer(progress, 800)
    answer(progress, 12, "safe")
    progress.answered("mis", "easy", "input_blocked")
    progress.spent(Usage(input_tokens=2000, output_tokens=500), cost=1.5)
    clock.now = 100.0
    shown = frame(progress, width)
    for text in ("813/1675", "mis:easy", "8.1/s", "1:4", "98.5", "blocked", "2.0k tokens in", "$1.50"):
        assert text in shown


def test_the_live_table_says_that_it_starts_while_there_is_nothing_to_show(clock: Clock) -> None:
    progress, _ = live(clock)
    clock.now = 3.0
    assert frame(progress).strip() == "0:03 · starting"


def test_the_live_table_shows_markup_in_a_name_as_it_is(clock: Clock) -> None:
    progress, _ = live(clock)
    progress.begin("[red]evil[/red]", "x", total=1)
    assert "[red]evil[/red]:x" in frame(progress)


def test_notes_and_the_last_frame_stay_on_the_screen(clock: Clock) -> None:
    progress, out = live(clock)
    with progress:
        progress.begin("mis", "easy", total=1, metric=ASR)
        progress.note(f"waiting {HOSTILE}")
        answer(progress, 1)
    screen = out.getvalue()
    assert "waiting evil" in screen
    assert "\x1b[2J" not in screen
    assert "1/1" in screen.rsplit("waiting", 1)[1]


def test_the_live_table_leaves_stdout_alone(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    progress, out = live(clock)
    with progress:
        print("a result")
    assert capsys.readouterr().out == "a result\n"
    assert "a result" not in out.getvalue()
