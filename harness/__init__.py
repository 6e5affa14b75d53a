"""The evaluation harness for the safety of vision-language models.

The flat public API: everything a plugin author needs is here, resolved on first use so that `import harness` is cheap.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.contracts import (
        Answered,
        Ask,
        Attack,
        Attacked,
        DataSource,
        Judge,
        Model,
        ModelInfo,
        Paper,
        Provider,
        Report,
        Results,
        Rubric,
        RunInfo,
        SampleLinks,
        Split,
        Strategy,
        Suite,
        Task,
        Variant,
    )
    from harness.errors import BadData, BadImage, HarnessError, MissingData, UnknownName
    from harness.hookspecs import hookimpl
    from harness.limits.endpoints import Policy
    from harness.makers import Brush, Build, Builder, Built, Drawing, Drawn, Painter, Trainer, Training
    from harness.metrics import Metric, Pairing, Record, rate
    from harness.models import open_model
    from harness.readers import distinct, document, open_files, prompt, rows, together
    from harness.runs.agreement import JudgeAgreement, agree
    from harness.runs.api import judge_run, judge_run_async, load_run, run, run_async
    from harness.runs.catalog import ListedRun, list_runs
    from harness.runs.comparing.compare import compare
    from harness.runs.comparing.comparison import Comparison
    from harness.runs.gating.gate import check_gate
    from harness.runs.gating.result import GateResult
    from harness.runs.merging import merge_shards
    from harness.runs.power_plan import PowerRow, plan_power
    from harness.runs.reporting import report
    from harness.runs.run import Run
    from harness.runs.sweeping.api import sweep
    from harness.runs.sweeping.result import Sweep
    from harness.runs.verification import VerifiedRun, verify_run
    from harness.schemes import add_scheme, preset
    from harness.task_files import load_task
    from harness.types import (
        Failure,
        Fidelity,
        Files,
        Generation,
        Image,
        ImageContent,
        Json,
        Message,
        Request,
        Response,
        Sample,
        Setting,
        Settings,
        Text,
        Unscored,
        Usage,
        Verdict,
    )

_HOME = {
    "runs.agreement": "JudgeAgreement agree",
    "runs.api": "judge_run judge_run_async load_run run run_async",
    "runs.catalog": "ListedRun list_runs",
    "runs.comparing.compare": "compare",
    "runs.gating.gate": "check_gate",
    "runs.gating.result": "GateResult",
    "runs.merging": "merge_shards",
    "runs.power_plan": "PowerRow plan_power",
    "runs.comparing.comparison": "Comparison",
    "limits": "Policy",
    "models": "open_model",
    "schemes": "add_scheme preset",
    "task_files": "load_task",
    "readers": "distinct document open_files prompt rows together",
    "runs.reporting": "report",
    "runs.run": "Run",
    "runs.sweeping.api": "sweep",
    "runs.sweeping.result": "Sweep",
    "runs.verification": "VerifiedRun verify_run",
    "contracts": "Answered Ask Attack Attacked DataSource Judge Model ModelInfo Paper Provider Report Results Rubric "
    "RunInfo SampleLinks Split Strategy Suite Task Variant",
    "errors": "BadData BadImage HarnessError MissingData UnknownName",
    "hookspecs": "hookimpl",
    "makers": "Brush Build Builder Built Drawing Drawn Painter Trainer Training",
    "metrics": "Metric Pairing Record rate",
    "types": "Failure Fidelity Files Generation Image ImageContent Json Message Request Response Sample Setting "
    "Settings Text Unscored Usage Verdict",
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names.split()}

__all__ = [
    "Answered",
    "Ask",
    "Attack",
    "Attacked",
    "BadData",
    "BadImage",
    "Brush",
    "Build",
    "Builder",
    "Built",
    "Comparison",
    "DataSource",
    "Drawing",
    "Drawn",
    "Failure",
    "Fidelity",
    "Files",
    "GateResult",
    "Generation",
    "HarnessError",
    "Image",
    "ImageContent",
    "Json",
    "Judge",
    "JudgeAgreement",
    "ListedRun",
    "Message",
    "Metric",
    "MissingData",
    "Model",
    "ModelInfo",
    "Painter",
    "Pairing",
    "Paper",
    "Policy",
    "PowerRow",
    "Provider",
    "Record",
    "Report",
    "Request",
    "Response",
    "Results",
    "Rubric",
    "Run",
    "RunInfo",
    "Sample",
    "SampleLinks",
    "Setting",
    "Settings",
    "Split",
    "Strategy",
    "Suite",
    "Sweep",
    "Task",
    "Text",
    "Trainer",
    "Training",
    "UnknownName",
    "Unscored",
    "Usage",
    "Variant",
    "Verdict",
    "VerifiedRun",
    "add_scheme",
    "agree",
    "check_gate",
    "compare",
    "distinct",
    "document",
    "hookimpl",
    "judge_run",
    "judge_run_async",
    "list_runs",
    "load_run",
    "load_task",
    "merge_shards",
    "open_files",
    "open_model",
    "plan_power",
    "preset",
    "prompt",
    "rate",
    "report",
    "rows",
    "run",
    "run_async",
    "sweep",
    "together",
    "verify_run",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'harness' has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{_MODULE_OF[name]}", __name__), name)
    globals()[name] = value
    return value
