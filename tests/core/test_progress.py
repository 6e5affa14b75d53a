"""What a run's progress counts, and how fast it says that it goes."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

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
from tests.core.clocked import ASR, Clock, answer, live


def view(progress: CountingProgress, clock: Clock) -> SplitView:
    (seen,) = progress.tally.views(clock.now)
    return seen


def test_every_outcome_and_judge_state_is_counted_once(clock: Clock) -> None:
    progress = CountingProgress(clock)
    progress.begin("mis", "easy", total=100, metric=ASR)
    for outcome in OUTCOMES:
        progress.answered("mis", "easy", outcome)
    for state in UNSCORED:
        progress.judged("mis", "easy", state)
    seen = view(progress, clock)
    assert (seen.ended, seen.blocked, seen.empty, seen.errors, seen.unscored) == (6, 2, 1, 2, 4)


def test_the_running_value_stands_beside_what_it_is_divided_by_and_an_interval_is_left_to_the_results(
    clock: Clock,
) -> None:
    progress = CountingProgress(clock)
    progress.begin("mis", "easy", total=100, metric=ASR)
    answer(progress, 8)
    answer(progress, 1, "safe")
    progress.answered("mis", "easy", "input_blocked", share=(0.0, 1.0))
    progress.answered("mis", "easy", "error")
    seen = view(progress, clock)
    assert (seen.value, seen.n) == (80.0, 10)
    assert "ASR 80.0 n=10" in format_line(seen)
    assert "[" not in format_line(seen)


def test_the_rate_counts_what_this_invocation_did_and_not_what_it_reused(clock: Clock) -> None:
    progress = CountingProgress(clock)
    progress.begin("mis", "easy", total=200, metric=ASR)
    answer(progress, 100, fresh=False)
    clock.now = 10.0
    answer(progress, 20)
    seen = view(progress, clock)
    assert seen.ended == 120
    assert seen.rate == pytest.approx(2.0)
    assert seen.remaining == pytest.approx(40.0)


def test_the_rate_follows_the_last_half_minute(clock: Clock) -> None:
    progress = CountingProgress(clock)
    progress.begin("mis", "easy", total=10_000, metric=ASR)
    for _ in range(60):
        clock.now += 1
        answer(progress, 1)
        view(progress, clock)
    for _ in range(60):
        clock.now += 1
        answer(progress, 10)
        view(progress, clock)
    assert view(progress, clock).rate == pytest.approx(10.0, rel=0.01)


def test_judging_after_answering_is_a_second_pass_with_its_own_rate(clock: Clock) -> None:
    progress = CountingProgress(clock)
    progress.begin("mis", "easy", total=100, metric=ASR, judge=False)
    for _ in range(100):
        progress.answered("mis", "easy", "answered")
    clock.now = 100.0
    assert (view(progress, clock).fraction, view(progress, clock).remaining) == (1.0, 0.0)
    progress.begin("mis", "easy", total=100, metric=ASR)
    clock.now = 110.0
    for _ in range(50):
        progress.answered("mis", "easy", "answered", fresh=False)
        progress.judged("mis", "easy", "unsafe", share=(1.0, 1.0))
    clock.now = 120.0
    for _ in range(10):
        progress.answered("mis", "easy", "answered", fresh=False)
        progress.judged("mis", "easy", "unsafe", share=(1.0, 1.0))
    seen = view(progress, clock)
    assert (seen.ended, seen.judged, seen.fraction) == (60, 60, 0.6)
    assert seen.rate == pytest.approx(3.0)
    assert seen.remaining == pytest.approx(40 / 3)


def test_waiting_for_the_first_verdict_does_not_count_as_slow_judging(clock: Clock) -> None:
    progress = CountingProgress(clock)
    progress.begin("mis", "easy", total=100, metric=ASR)
    for _ in range(100):
        progress.answered("mis", "easy", "answered")
    clock.now = 100.0
    assert view(progress, clock).waiting == 100
    clock.now = 110.0
    for _ in range(50):
        progress.judged("mis", "easy", "unsafe")
    assert view(progress, clock).remaining == pytest.approx(10.0)


def test_a_finished_split_has_no_time_left(clock: Clock) -> None:
    progress = CountingProgress(clock)
    progress.begin("mis", "easy", total=3, metric=ASR)
    answer(progress, 2)
    progress.answered("mis", "easy", "error")
    clock.now = 5.0
    seen = view(progress, clock)
    assert (seen.remaining, seen.fraction) == (0.0, 1.0)
    assert "ETA" not in format_line(seen)


def test_a_total_that_is_not_known_yet_gives_no_percent_and_no_eta(clock: Clock) -> None:
    progress = CountingProgress(clock)
    for total, text in ((None, "mis:easy 3 · 3.0/s"), (6, "mis:easy 3/6 (50%) · 3.0/s · ETA 0:01")):
        clock.now = 0.0
        progress.begin("mis", "easy", total=total, metric=ASR)
        answer(progress, 3)
        clock.now = 1.0
        assert format_line(view(progress, clock)) == f"{text} · ASR 100.0 n=3"


def test_an_answer_no_judge_will_read_is_work_done(clock: Clock) -> None:
    progress = CountingProgress(clock)
    progress.begin("mis", "easy", total=2, judge=False)
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


def test_a_stream_that_is_no_terminal_gets_lines() -> None:
    assert isinstance(choose_progress(io.StringIO(), {}), LineProgress)


def test_a_terminal_gets_the_live_table_unless_it_is_dumb() -> None:
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


@pytest.mark.parametrize("make", [lambda: LineProgress(io.StringIO()), lambda: live(Clock())[0]], ids=["line", "live"])
def test_an_event_costs_less_than_10_microseconds(make: Callable[[], Progress]) -> None:
    progress = make()
    progress.begin("mis", "easy", total=10**6, metric=ASR)

    def microseconds() -> float:
        start = time.perf_counter()
        answer(progress, 2000)
        return (time.perf_counter() - start) / 4000 * 1e6

    assert min(microseconds() for _ in range(5)) < 10


def test_rich_is_imported_only_for_a_terminal() -> None:
    code = "import sys, io, harness.progress as p; p.choose_progress(io.StringIO()); print('rich' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
