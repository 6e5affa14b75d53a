"""Results in the files of other harnesses: `harness report RUNS --format vlmevalkit` or `--format lm-eval`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from harness import Report, Results, hookimpl


def vlmevalkit_files(results: Sequence[Results]) -> Mapping[str, bytes]:
    """The folders that VLMEvalKit keeps under `outputs`: one per run."""
    from .layouts import render_vlmevalkit

    return render_vlmevalkit(results)


def lm_eval_files(results: Sequence[Results]) -> Mapping[str, bytes]:
    """The folders that lm-eval keeps under its output path: one per model, one file per run."""
    from .layouts import render_lm_eval

    return render_lm_eval(results)


@hookimpl
def harness_reports() -> Iterable[Report]:
    """Offer `vlmevalkit` and `lm-eval`."""
    return (
        Report(
            name="vlmevalkit", description="score files as VLMEvalKit writes them", render=vlmevalkit_files, suffix=""
        ),
        Report(name="lm-eval", description="results files as lm-eval writes them", render=lm_eval_files, suffix=""),
    )
