"""A section of results.json, one split of one run, and the rows of a leaderboard that it holds: one for each judge.

Keys are those of the schema `harness.results/1`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, cast

from harness.board.corrected import parse_corrected
from harness.board.costs import find_run_cost
from harness.board.judging import find_judge_range, parse_repeats
from harness.board.rows import GIVEN, TOY_DATA, Caution, Ends, JudgeNote, Measure, Row
from harness.contracts import Results
from harness.keys import canonical, digest, short
from harness.labels import HUMAN
from harness.text import one_line
from harness.types import Json

_FREE: Final = frozenset({"seed"})  #: settings that make another draw of the same distribution, not another question
#: family of models -> what a name of its models holds, as a word or the beginning of one
_FAMILIES: Final = {
    "Anthropic": "claude",
    "Baidu": "ernie",
    "Cohere": "command-[ar] aya",
    "DeepSeek": "deepseek",
    "Google": "gemini gemma paligemma",
    "Meta": "llama llama-guard",
    "Microsoft": "phi",
    "MiniCPM": "minicpm",
    "Mistral": "mistral ministral mixtral pixtral magistral",
    "Moonshot": "kimi moonlight",
    "OpenAI": "gpt chatgpt o[134](?![a-z])",
    "OpenGVLab": "internvl internlm intern-s",
    "Qwen": "qwen qwq qvq",
    "xAI": "grok",
    "Zhipu": "glm cogvlm chatglm",
}

_NONE: Final[Mapping[str, Json]] = {}


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

    @property
    def data(self) -> dict[str, Json]:
        """Where the split's data comes from; of an older results.json, where the task's does."""
        return _dict(self.body, "data") or _dict(self.about, "data")


def list_sections(run: Results) -> Iterator[Section]:
    """Every split of every task of one run."""
    for task, about in run["tasks"].items():
        for split, body in about["splits"].items():
            yield Section(run=run, task=task, split=split, about=about, body=body)


def read_rows(section: Section) -> Iterator[Row]:
    """The row of the run's judge, then one for each other judge; none of a person who labelled a drawn part."""
    yield _read_row(section, section.body.get("judge") or "", section.body, primary=True)
    metrics: Mapping[str, Mapping[str, Json]] = section.body["metrics"]
    in_number_by_people = section.run["model"].get("seeds") or any(each.get("corrected") for each in metrics.values())
    for judge, judged in _dict(section.body, "other_judges").items():
        # A drawn part has equal numbers of each of the draw's labels, so its own rate says nothing of all answers.
        # A mean over seeds has no number by people, and its runs' persons are left out all the same.
        is_person = _dict(_dict(section.run, "judges"), judge).get("rubric") == HUMAN
        if not (is_person and in_number_by_people and judged["verdicts"].get("unjudged")):
            yield _read_row(section, judge, judged, primary=False)


def _read_row(section: Section, judge: str, judged: Mapping[str, Json], *, primary: bool) -> Row:
    model, body, data = section.run["model"], section.body, section.data
    note, training, identity = _read_judge(section.run, judge), _dict(model, "training"), model.get("identity")
    # splits of the task that were asked, with how much of them: what the data's hash is over
    splits: Mapping[str, Mapping[str, Json]] = section.about["splits"]
    asked = tuple(sorted(f"{name} {each.get('subset')}" for name, each in splits.items() if not each.get("parts")))
    breakdowns: Mapping[str, Any] = _dict(judged, "by")
    cost, per_1000 = (None, None) if model.get("seeds") else find_run_cost(section.run)
    row = Row(
        cost_usd=cost,
        usd_per_1000=per_1000,
        model=model["ref"],
        ref=model["ref"],
        strategy=strategy_name(section.run),
        attack=attack_name(section.run),
        system=_system_message(identity),
        resolved=_texts(model.get("resolved")),
        model_revision=_model_revision(model),
        noted=_texts(model.get("notes")),
        tuned_from=str(training.get("tuned_from") or ""),
        trained_on=_texts(training.get("trained_on")),
        held_out=_texts(training.get("held_out")),
        seed=find_seed(model) or "",
        seeds=tuple((str(each["ref"]), str(each["seed"])) for each in model.get("seeds") or ()),
        files=_files_digest(identity),
        base_files=str(training.get("base_files") or ""),
        folder=one_line(str(section.run.get("folder") or "")),
        bare=bool(section.run.get("bare")),
        finished=str(section.run.get("finished") or ""),
        local=_is_local(identity),
        options=_read_options(section),
        judge=note,
        primary=primary,
        unranked=GIVEN if model.get("given") else "",
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
        measures=_read_measures(judged["metrics"], _dict(body, "definitions")),
        by={
            by: {group: (part["n"], _read_measures(part["metrics"])) for group, part in groups.items()}
            for by, groups in breakdowns.items()
        },
        paired=_read_pairings(section) if primary else {},
        settings=_dict(body, "settings"),
        data=_dict(section.about, "data").get("sha256") or "",
        source=str(data.get("source") or ""),
        revision=str(data.get("revision") or ""),
        checked=str(data.get("checked") or ""),
        licence=str(data.get("licence") or ""),
        toy=bool(data.get("toy")),
        topic=str(body.get("group") or ""),
        asked=asked,
        basis=_read_basis(section, judge, note),
    )
    cards: Mapping[str, Mapping[str, Json]] = _dict(section.run, "judges")
    return replace(
        row,
        cautions=tuple(find_cautions(row, section.task, row.source)),
        over_judges=None if row.main is None else find_judge_range(body, cards, row.main.name),
        repeats=parse_repeats(judged.get("repeats")),
    )


def _read_measures(metrics: Mapping[str, Json], definitions: Mapping[str, Json] = _NONE) -> tuple[Measure, ...]:
    found: list[Measure] = []
    for name, body in metrics.items():
        seeds: Mapping[str, Any] = body.get("seeds") or {}
        made: Mapping[str, int] = body.get("estimator") or {}
        found.append(
            Measure(
                name=name,
                unit=body["unit"],
                better=body["better"],
                main=bool(body.get("main")),
                value=body["value"],
                ci95=parse_ends(body.get("ci95")),
                ci95_worst=parse_ends(body.get("ci95_worst")),
                bounds=parse_ends(body.get("bounds")),
                numerator=body.get("numerator"),
                denominator=body.get("denominator"),
                unresolved=body.get("unresolved") or 0,
                clusters=body.get("clusters"),
                strata=body.get("strata") or {},
                harmonic=int(body.get("harmonic") or 1),
                why=body.get("why") or "",
                estimated=(made["judged"], made["of"]) if made else None,
                by_seed=tuple(seeds.get("values") or ()),
                spread=seeds.get("sd"),
                corrected=parse_corrected(body.get("corrected")),
                definition=str(definitions.get(name) or ""),
            )
        )
    return tuple(found)


def parse_ends(pair: Sequence[float | None] | None) -> Ends:
    """An interval or bounds as results.json has them."""
    return (None, None) if pair is None else (pair[0], pair[1])


def strategy_name(run: Results) -> str:
    """The strategy that wrapped the model of a run; empty for none."""
    return _name_of(run["model"].get("strategy"))


def attack_name(run: Results) -> str:
    """The attack that changed the questions of a run; empty for none."""
    return _name_of(run["model"].get("attack"))


def name_model(run: Results) -> str:
    """The model of a run with its strategy, attack and system message, as leaderboards name it."""
    attack, system = attack_name(run), _system_message(run["model"].get("identity"))
    parts = (run["model"]["ref"], strategy_name(run), f"attack {attack}" * bool(attack), "system prompt" * bool(system))
    return " + ".join(str(part) for part in parts if part)


def _read_judge(run: Results, judge: str) -> JudgeNote:
    known = _dict(_dict(run, "judges"), judge)
    if not known:
        return JudgeNote(id=judge)
    fidelity, version = known.get("fidelity", "own") or "", known.get("version") or ""
    words = f"{fidelity} rubric v{version}" if fidelity == "own" and version else f"{fidelity} rubric"
    labels: object = known.get("labels")  # in results of another age they are no mapping
    meanings = cast("Mapping[str, Json]", labels if isinstance(labels, Mapping) else {})
    return JudgeNote(
        id=judge,
        rubric=f"{known['rubric']} ({words})" if fidelity else judge,
        model=", ".join(_texts(known.get("resolved"))) or _name_of(known.get("model"), "ref"),
        fidelity=fidelity,
        name=str(known["rubric"]),
        version=str(version),
        meanings={str(label): str(meaning or "") for label, meaning in meanings.items()},
    )


def _read_basis(section: Section, judge: str, note: JudgeNote) -> dict[str, str]:
    """What two rows must share to be ranked against each other, under the names that a reader knows."""
    body = section.body
    settings = {name: _as_text(value) for name, value in _dict(body, "settings").items() if name not in _FREE}
    return {
        "judge": judge if note.model in judge else f"{judge} ({note.model})",
        "wording of the input": f"{body.get('fidelity') or ''} {(body.get('template_hash') or '')[:8]}".strip(),
        "task version": str(section.about.get("version") or ""),
        "data revision": str(section.data.get("revision") or ""),
        "samples": str(body["n"]),
        **(
            {"labels mapped": ", ".join(f"{a}={b}" for a, b in sorted(_dict(body, "map").items()))}
            if "map" in body
            else {}
        ),
        **({"attack": describe_attack(section.run)} if section.run["model"].get("attack") else {}),
        **settings,
    }


def describe_attack(run: Results) -> str:
    """The attack of a run with its version and settings; empty for none."""
    attack = _dict(run["model"], "attack")
    given = ", ".join(f"{name}={_as_text(value)}" for name, value in _dict(attack, "settings").items())
    named = (str(attack.get("name") or ""), str(attack.get("version") or ""), f"({given})" if given else "")
    return " ".join(filter(None, named))


def _read_pairings(section: Section) -> dict[str, Json]:
    """Comparisons inside the task whose left side is this split; a single one has no name there."""
    paired = _dict(section.about, "paired")
    named = {"": paired} if "pairs" in paired else paired
    return {
        name: body
        for name, body in named.items()
        if any(isinstance(side, dict) and section.split in side for side in body.values())
    }


def _read_options(section: Section) -> dict[str, str]:
    """Settings and identity by which rows of one ref may differ."""
    model = section.run["model"]
    own = {name: _as_text(value) for name, value in _dict(model, "settings").items()}
    effective = {name: _as_text(value) for name, value in _dict(section.body, "settings").items()}
    system = one_line(_system_message(model.get("identity")), 40)
    return {**own, **effective, "system": system, "identity": short(model.get("identity"))}


def _system_message(identity: str | dict[str, Json] | None) -> str:
    if identity is None or isinstance(identity, str):
        return ""
    return str(_dict(identity, "overrides").get("system") or "")


def _model_revision(model: Mapping[str, Json]) -> str:
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


def _files_digest(identity: str | dict[str, Json] | None) -> str:
    """Hash of the model's files; empty if they are not known, or if there is an adapter on them."""
    if not isinstance(identity, dict) or not _is_local(identity) or isinstance(identity["fingerprint"], str):
        return ""
    files = _dict(identity, "fingerprint")
    return "" if files.get("adapter") else digest(files)


def _is_local(identity: str | dict[str, Json] | None) -> bool:
    """Whether files of the model are part of its identity."""
    return isinstance(identity, dict) and bool(identity.get("fingerprint"))


def _as_text(value: Json) -> str:
    """A setting's value as text; empty when it is not set."""
    if value is None or value == []:
        return ""
    return value if isinstance(value, str) else canonical(value)


def find_seed(model: Mapping[str, Json]) -> str | None:
    """The seed of a model's training, of its sampling, or both with `/` between; None where none was set."""
    identity: object = model.get("identity")
    overrides = _dict(cast("Mapping[str, Json]", identity), "overrides") if isinstance(identity, dict) else {}
    found = (_dict(model, "training").get("seed"), _dict(overrides, "generation").get("seed"))
    return "/".join(str(seed) for seed in found if seed is not None) or None


def _texts(value: str | list[str] | None) -> tuple[str, ...]:
    if not value:
        return ()
    return (value,) if isinstance(value, str) else tuple(sorted(value))


def _name_of(thing: Json, key: str = "name") -> str:
    return thing if isinstance(thing, str) else str(_dict({"": thing}, "").get(key, ""))


def _dict(holder: Mapping[str, Json], key: str) -> dict[str, Json]:
    found: dict[str, Json] | None = holder.get(key)
    return found or {}


def find_cautions(row: Row, task: str, source: str) -> Iterator[Caution]:
    """The cautions on one row: flags next to its number, which change no rank.

    Args:
        row: as read from results.
        task: its displayed name.
        source: of the task's data, as the run recorded it.
    """
    if row.toy:
        yield Caution(kind="toy", told=TOY_DATA)
    # the judge is of the model's family; a model that judges itself is, whatever its name says
    names = (row.ref.partition("/")[2], *row.resolved)
    shared = find_families(*names) & find_families(row.judge.model)
    if row.judge.model and (shared or row.judge.model in (row.ref, *names)):
        family = ", ".join(sorted(shared)) or row.ref
        yield Caution(kind="own_family", told=f"judged by a model of its own family ({family})")
    if same := _find_training_sets(row, task, source):
        yield Caution(kind="trained_on", told=f"trained on data of this test's source ({', '.join(same)})")
    if "temperature" in row.settings and row.settings["temperature"] is None:
        yield Caution(kind="sampling", told="provider sampling (no temperature was set)")
    if row.strategy:
        yield Caution(kind="strategy", told=f"answers by the strategy {row.strategy}")
    if row.attack:
        yield Caution(kind="attack", told=f"asked under the attack {row.attack}")
    if row.system:
        yield Caution(kind="system", told="a system prompt stands before each request")
    if len(row.resolved) > 1:
        yield Caution(kind="names", told=f"answered under several names ({', '.join(row.resolved)})")
    if row.drawn is False:
        answers, waiting = row.outcomes["answered"], row.verdicts.get("unjudged", 0)
        told = f"not drawn: the judge has read {answers - waiting} of {answers} answers, which are no random part"
        yield Caution(kind="not_drawn", told=told)
    if row.bare:
        yield Caution(kind="unverifiable", told="not verifiable: its results stand without the answers they count")


def _find_training_sets(row: Row, task: str, source: str) -> list[str]:
    """Training data that is the test's source or a part of it: `mis`, `mis-train`, `owner/mis`."""

    def plain(name: str) -> str:
        return name.strip().casefold().replace("_", "-")

    tested = {plain(re.split(r"[ :(]", task)[0]), plain(source), plain(source.rpartition("/")[2])} - {""}
    found: list[str] = []
    for name in row.trained_on:
        trained = (plain(name), plain(name).rpartition("/")[2])
        if any(each == own or each.startswith(f"{own}-") for each in trained for own in tested):
            found.append(name)
    return found


def find_families(*names: str) -> frozenset[str]:
    """The families of models that the names of a model contain; empty for none, two for a distilled or merged model."""
    text = " ".join(name.replace("_", "-") for name in names)
    return frozenset(
        family
        for family, words in _FAMILIES.items()
        if re.search(rf"(?<![a-z])(?:{'|'.join(words.split())})", text, re.IGNORECASE)
    )
