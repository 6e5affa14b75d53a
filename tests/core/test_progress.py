"""What a run's progress counts, how fast it says that it goes, and how a log and a terminal show it."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys

import pytest
from rich.console import Console

from harness.metrics import rate
from harness.progress import (
    CountingProgress,
    LineProgress,
    Progress,
    SilentProgress,
    choose_progress,
    format_line,
    format_spending,
)
from harness.progress.live import LiveProgress
from harness.progress.tally import SplitView
from harness.types import OUTCOMES, UNSCORED, Usage

ASR = rate("ASR", "unsafe", better="lower", main=True)


class Clock:
    """Time that passes when told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def counting(clock: Clock, total: int | None = 100, *, judge: bool = True) -> CountingProgress:
    """A progress in which mis:easy has begun."""
    progress = CountingProgress(clock)
    progress.begin("mis", "easy", total=total, metric=ASR, judge=judge)
    return progress


def answer(progress: Progress, count: int, label: str = "unsafe", *, fresh: bool = True) -> None:
    """Answer and judge `count` samples of mis:easy."""
    for _ in range(count):
        progress.answered("mis", "easy", "answered", fresh=fresh)
        progress.judged("mis", "easy", label, share=(float(label == "unsafe"), 1.0), fresh=fresh)


def live(clock: Clock, width: int = 120) -> tuple[LiveProgress, io.StringIO]:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=width, color_system=None, highlight=False)
    return LiveProgress(out, clock=clock, console=console), out


def view(progress: CountingProgress, clock: Clock) -> SplitView:
    (seen,) = progress.tally.views(clock.now)
    return seen


def test_every_outcome_and_judge_state_is_counted_once(clock: Clock) -> None:
    progress = counting(clock)
    for outcome in OUTCOMES:
        progress.answered("mis", "easy", outcome)
    for state in UNSCORED:
        progress.judged("mis", "easy", state)
    seen = view(progress, clock)
    assert (seen.ended, seen.blocked, seen.empty, seen.errors, seen.unscored) == (6, 2, 1, 2, 4)


def test_the_running_value_stands_beside_what_it_is_divided_by_and_an_interval_is_left_to_the_results(
    clock: Clock,
) -> None:
    progress = counting(clock)
    answer(progress, 8)
    answer(progress, 1, "safe")
    progress.answered("mis", "easy", "input_blocked", share=(0.0, 1.0))
    progress.answered("mis", "easy", "error")
    seen = view(progress, clock)
    assert (seen.value, seen.n) == (80.0, 10)
    assert "ASR 80.0 n=10" in format_line(seen)
    assert "[" not in format_line(seen)


def test_the_rate_counts_what_this_invocation_did_and_not_what_it_reused(clock: Clock) -> None:
    progress = counting(clock, 200)
    answer(progress, 100, fresh=False)
    clock.now = 10.0
    answer(progress, 20)
    seen = view(progress, clock)
    assert seen.ended == 120
    assert seen.rate == pytest.approx(2.0)
    assert seen.remaining == pytest.approx(40.0)


def test_the_rate_follows_the_last_half_minute(clock: Clock) -> None:
    progress = counting(clock, 10_000)
    for count in (1, 10):
        for _ in range(60):
            clock.now += 1
            answer(progress, count)
            view(progress, clock)
    assert view(progress, clock).rate == pytest.approx(10.0, rel=0.01)


def test_judging_after_answering_is_a_second_pass_with_its_own_rate(clock: Clock) -> None:
    progress = counting(clock, judge=False)
    for _ in range(100):
        progress.answered("mis", "easy", "answered")
    clock.now = 100.0
    assert (view(progress, clock).fraction, view(progress, clock).remaining) == (1.0, 0.0)
    progress.begin("mis", "easy", total=100, metric=ASR)
    for clock.now, count in ((110.0, 50), (120.0, 10)):
        for _ in range(count):
            progress.answered("mis", "easy", "answered", fresh=False)
            progress.judged("mis", "easy", "unsafe", share=(1.0, 1.0))
    seen = view(progress, clock)
    assert (seen.ended, seen.judged, seen.fraction) == (60, 60, 0.6)
    assert seen.rate == pytest.approx(3.0)
    assert seen.remaining == pytest.approx(40 / 3)


def test_waiting_for_the_first_verdict_does_not_count_as_slow_judging(clock: Clock) -> None:
    progress = counting(clock)
    for _ in range(100):
        progress.answered("mis", "easy", "answered")
    clock.now = 100.0
    assert view(progress, clock).waiting == 100
    clock.now = 110.0
    for _ in range(50):
        progress.judged("mis", "easy", "unsafe")
    assert view(progress, clock).remaining == pytest.approx(10.0)


def test_a_finished_split_has_no_time_left(clock: Clock) -> None:
    progress = counting(clock, 3)
    answer(progress, 2)
    progress.answered("mis", "easy", "error")
    clock.now = 5.0
    seen = view(progress, clock)
    assert (seen.remaining, seen.fraction) == (0.0, 1.0)
    assert "ETA" not in format_line(seen)


def test_a_total_that_is_not_known_yet_gives_no_percent_and_no_eta(clock: Clock) -> None:
    for total, text in ((None, "mis:easy 3 · 3.0/s"), (6, "mis:easy 3/6 (50%) · 3.0/s · ETA 0:01")):
        clock.now = 0.0
        progress = counting(clock, total)
        answer(progress, 3)
        clock.now = 1.0
        assert format_line(view(progress, clock)) == f"{text} · ASR 100.0 n=3"


def test_an_answer_no_judge_will_read_is_work_done(clock: Clock) -> None:
    progress = counting(clock, 2, judge=False)
    progress.answered("mis", "easy", "answered")
    assert (view(progress, clock).fraction, view(progress, clock).waiting) == (0.5, 0)


def test_spending_adds_tokens_and_known_prices(clock: Clock) -> None:
    progress = CountingProgress(clock)
    assert format_spending(progress.tally) == ""
    progress.spent(Usage(input_tokens=1_200_000, output_tokens=900))
    assert format_spending(progress.tally) == " · 1.2M tokens in, 900 out"
    progress.spent(Usage(input_tokens=1), cost=0.25)
    progress.spent(Usage(input_tokens=1), cost=0.5)
    assert format_spending(progress.tally).endswith(" · $0.75")


def test_a_terminal_gets_the_live_table_unless_it_is_dumb_and_any_other_stream_gets_lines() -> None:
    assert isinstance(choose_progress(io.StringIO(), {}), LineProgress)
    leader, follower = pty.openpty()
    with os.fdopen(leader), os.fdopen(follower, "w") as terminal:
        assert isinstance(choose_progress(terminal, {"TERM": "xterm"}), LiveProgress)
        assert isinstance(choose_progress(terminal, {"TERM": "dumb"}), LineProgress)


def test_silence_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    with SilentProgress() as progress:
        progress.begin("mis", "easy", total=1, metric=ASR)
        answer(progress, 1)
        progress.spent(Usage(input_tokens=1))
        progress.note("nothing")
    assert capsys.readouterr() == ("", "")


def test_rich_is_imported_only_for_a_terminal() -> None:
    code = "import sys, io, harness.progress as p; p.choose_progress(io.StringIO()); print('rich' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


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
    picture = frame(progress, width)
    for text in ("813/1675", "mis:easy", "8.1/s", "1:4", "98.5", "blocked", "2.0k tokens in", "$1.50"):
        assert text in picture


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
