"""Reading results.json into rows: one per split and judge. Keys are those of the schema `harness.results/1`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.board.cautions import cautions
from harness.board.values import Ends, JudgeNote, Measure, Row
from harness.contracts import Results
from harness.keys import canonical, digest, short
from harness.terminal import one_line
from harness.types import Json

_FREE = frozenset({"seed"})  #: settings that make another draw of the same distribution, not another question


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One split of one results.json, with the run it belongs to."""

    run: Results
    task: str
    split: str
    about: Mapping[str, Json]  #: the task's version, settings and data
    body: Mapping[str, Json]  #: the split's own dict

    @property
    def parts(self) -> tuple[str, ...]:
        """Splits it is pooled from; empty when it was asked itself."""
        return tuple(self.body.get("parts") or ())


def sections(run: Results) -> Iterator[Section]:
    """Every split of every task of one run."""
    for task, about in run["tasks"].items():
        for split, body in about["splits"].items():
            yield Section(run=run, task=task, split=split, about=about, body=body)


def rows(section: Section) -> Iterator[Row]:
    """The row of the run's judge, then one for each other judge that read all the answers."""
    yield _row(section, section.body.get("judge") or "", section.body, primary=True)
    for judge, judged in _dict(section.body, "other_judges").items():
        yield _row(section, judge, judged, primary=False)


def _row(section: Section, judge: str, judged: Mapping[str, Json], *, primary: bool) -> Row:
    row = _plain_row(section, judge, judged, primary=primary)
    return replace(row, cautions=tuple(cautions(row, section.task, row.source)))


def _plain_row(section: Section, judge: str, judged: Mapping[str, Json], *, primary: bool) -> Row:
    model, body, data = section.run["model"], section.body, _data(section)
    note, training = _judge(section.run, judge), _dict(model, "training")
    return Row(
        model=model["ref"],
        ref=model["ref"],
        strategy=strategy_name(section.run),
        system=_system(model.get("identity")),
        resolved=_texts(model.get("resolved")),
        model_revision=_revision(model),
        noted=_texts(model.get("notes")),
        tuned_from=str(training.get("tuned_from") or ""),
        trained_on=_texts(training.get("trained_on")),
        held_out=_texts(training.get("held_out")),
        files=_files(model.get("identity")),
        base_files=str(training.get("base_files") or ""),
        bare=bool(section.run.get("bare")),
        finished=str(section.run.get("finished") or ""),
        local=_is_local(model.get("identity")),
        options=_options(section),
        judge=note,
        primary=primary,
        fidelity=body.get("fidelity") or "",
        n=body["n"],
        n_expected=body.get("n_expected"),
        subset=body.get("subset"),
        epochs=body.get("epochs", 1),
        records=body["records"],
        outcomes=body["outcomes"],
        flags=_dict(body, "flags"),
        verdicts=judged["verdicts"],
        labels=judged["labels"],
        coverage=judged["coverage"],
        complete=judged["complete"],
        drawn=judged.get("drawn"),
        measures=_measures(judged["metrics"]),
        by=_by(_dict(judged, "by")),
        paired=_paired(section) if primary else {},
        settings=_dict(body, "settings"),
        data=_dict(section.about, "data").get("sha256") or "",
        source=str(data.get("source") or ""),
        revision=str(data.get("revision") or ""),
        checked=str(data.get("checked") or ""),
        licence=str(data.get("licence") or ""),
        toy=bool(data.get("toy")),
        asked=_asked(section),
        basis=_basis(section, judge, note),
    )


def _data(section: Section) -> dict[str, Json]:
    """Where the split's data comes from; of an older results.json, where the task's does."""
    return _dict(section.body, "data") or _dict(section.about, "data")


def _measures(metrics: Mapping[str, Json]) -> tuple[Measure, ...]:
    return tuple(_measure(name, body) for name, body in metrics.items())


def _measure(name: str, body: Mapping[str, Any]) -> Measure:
    made: Mapping[str, int] = body.get("estimator") or {}
    return Measure(
        name=name,
        unit=body["unit"],
        better=body["better"],
        main=bool(body.get("main")),
        value=body["value"],
        ci95=ends(body.get("ci95")),
        ci95_worst=ends(body.get("ci95_worst")),
        bounds=ends(body.get("bounds")),
        numerator=body.get("numerator"),
        denominator=body.get("denominator"),
        unresolved=body.get("unresolved") or 0,
        clusters=body.get("clusters"),
        strata=body.get("strata") or {},
        why=body.get("why") or "",
        estimated=(made["judged"], made["of"]) if made else None,
    )


def _by(breakdowns: Mapping[str, Any]) -> dict[str, dict[str, tuple[int, tuple[Measure, ...]]]]:
    return {
        by: {group: (body["n"], _measures(body["metrics"])) for group, body in groups.items()}
        for by, groups in breakdowns.items()
    }


def ends(pair: Sequence[float | None] | None) -> Ends:
    """An interval or bounds as results.json has them."""
    return (None, None) if pair is None else (pair[0], pair[1])


def strategy_name(run: Results) -> str:
    """What was put around the model of a run; empty for nothing."""
    return _name_of(run["model"].get("strategy"))


def _judge(run: Results, judge: str) -> JudgeNote:
    known = _dict(_dict(run, "judges"), judge)
    if not known:
        return JudgeNote(id=judge)
    fidelity, version = known.get("fidelity", "own") or "", known.get("version") or ""
    words = f"{fidelity} rubric v{version}" if fidelity == "own" and version else f"{fidelity} rubric"
    return JudgeNote(
        id=judge,
        rubric=f"{known['rubric']} ({words})" if fidelity else judge,
        model=", ".join(_texts(known.get("resolved"))) or _name_of(known.get("model"), "ref"),
        fidelity=fidelity,
    )


def _basis(section: Section, judge: str, note: JudgeNote) -> dict[str, str]:
    """What two rows must share to be ranked against each other, by the word a reader knows it by."""
    body, about = section.body, section.about
    settings = {name: _shown(value) for name, value in _dict(body, "settings").items() if name not in _FREE}
    return {
        "judge": judge if note.model in judge else f"{judge} ({note.model})",
        "wording of the input": f"{body.get('fidelity') or ''} {(body.get('template_hash') or '')[:8]}".strip(),
        "task version": str(about.get("version") or ""),
        "data revision": str(_data(section).get("revision") or ""),
        "samples": str(body["n"]),
        **settings,
    }


def _asked(section: Section) -> tuple[str, ...]:
    """The task's splits that were asked, with how much of them: what the data's hash is over."""
    splits: Mapping[str, Mapping[str, Json]] = section.about["splits"]
    return tuple(sorted(f"{name} {body.get('subset')}" for name, body in splits.items() if not body.get("parts")))


def _paired(section: Section) -> dict[str, Json]:
    """Comparisons inside the task whose left side is this split; a single one stands there without a name."""
    paired = _dict(section.about, "paired")
    named = {"": paired} if "pairs" in paired else paired
    return {
        name: body
        for name, body in named.items()
        if any(isinstance(side, dict) and section.split in side for side in body.values())
    }


def _options(section: Section) -> dict[str, str]:
    """What can tell two rows of one ref apart: the model's own settings, then its identity."""
    model = section.run["model"]
    own = {name: _shown(value) for name, value in _dict(model, "settings").items()}
    effective = {name: _shown(value) for name, value in _dict(section.body, "settings").items()}
    system = one_line(_system(model.get("identity")), 40)
    return {**own, **effective, "system": system, "identity": short(model.get("identity"))}


def _system(identity: str | dict[str, Json] | None) -> str:
    """The system message the user put before each request."""
    return (
        "" if identity is None or isinstance(identity, str) else str(_dict(identity, "overrides").get("system") or "")
    )


def _revision(model: Mapping[str, Json]) -> str:
    """Which version of the model answered, as far as it can be known."""
    if not _is_local(model.get("identity")):
        return ", ".join(_texts(model.get("resolved")))
    identity = _dict(model, "identity")
    if isinstance(identity["fingerprint"], str):
        return f"files {short(identity['fingerprint'])}"
    files = _dict(identity, "fingerprint")
    own = {name: each for name, each in files.items() if name != "adapter"}
    base = str(own.get("commit") or "")[:12] or f"files {short(own)}"
    return f"{base} + adapter {short(files['adapter'])}" if files.get("adapter") else base


def _files(identity: str | dict[str, Json] | None) -> str:
    """What tells the model's files; nothing where an adapter lies on them."""
    if not isinstance(identity, dict) or not _is_local(identity) or isinstance(identity["fingerprint"], str):
        return ""
    files = _dict(identity, "fingerprint")
    return "" if files.get("adapter") else digest(files)


def _is_local(identity: str | dict[str, Json] | None) -> bool:
    """Whether files of the model are part of who it is."""
    return isinstance(identity, dict) and bool(identity.get("fingerprint"))


def _shown(value: Json) -> str:
    """A setting's value as text; empty when it is not set."""
    if value is None or value == []:
        return ""
    return value if isinstance(value, str) else canonical(value)


def _texts(value: str | list[str] | None) -> tuple[str, ...]:
    if not value:
        return ()
    return (value,) if isinstance(value, str) else tuple(sorted(value))


def _name_of(thing: Json, key: str = "name") -> str:
    """A thing that is given by its name, or as a dict that holds it."""
    return thing if isinstance(thing, str) else str(_dict({"": thing}, "").get(key, ""))


def _dict(holder: Mapping[str, Json], key: str) -> dict[str, Json]:
    found: dict[str, Json] | None = holder.get(key)
    return found or {}
