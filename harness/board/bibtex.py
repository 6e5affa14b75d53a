"""The bibliography of some runs as BibTeX: each benchmark, judge and published number they rest on, and this tool.

Papers come from the loaded plugins (`Task.paper`, `Judge.paper`, `Suite.paper`), so results hold nothing of them. An
entry is built from facts and is plain ASCII where it can be: BibTeX counts braces and cuts names byte by byte.
"""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, cast

from harness.board.published import published
from harness.contracts import Judge, Paper, Results, Split, Suite, Task
from harness.errors import BadData
from harness.settings import effective
from harness.text import escape_tex, one_line, plain

#: this project; a test compares it with CITATION.cff
HARNESS: Final = Paper(
    key="vlm-safety-harness", title="vlm-safety-harness", authors=("The vlm-safety-harness authors,",)
)

_ACCENTS: Final = {
    "\u0300": "`",
    "\u0301": "'",
    "\u0302": "^",
    "\u0303": "~",
    "\u0304": "=",
    "\u0306": "u ",
    "\u0307": ".",
    "\u0308": '"',
    "\u030a": "r ",
    "\u030b": "H ",
    "\u030c": "v ",
    "\u0327": "c ",
}
_LETTERS: Final = {
    "ß": r"{\ss}",
    "æ": r"{\ae}",
    "Æ": r"{\AE}",
    "œ": r"{\oe}",
    "Œ": r"{\OE}",
    "ø": r"{\o}",
    "Ø": r"{\O}",
    "ł": r"{\l}",
    "Ł": r"{\L}",
    "\N{LATIN SMALL LETTER DOTLESS I}": r"{\i}",
    # escape_tex writes these as `\{`, which BibTeX counts as a brace that is not closed
    "{": r"{\textbraceleft}",
    "}": r"{\textbraceright}",
}
#: rubrics that are nobody's method: labels of people, of a labelled set, and a majority of judges
_NO_METHODS: Final = frozenset({"human", "people", "combine-majority"})


def describe_paper(paper: Paper) -> str:
    """A paper in one line: `Ding et al. (2025): Rethinking … Models. https://arxiv.org/abs/2501.18533`."""
    families = [_split_name(name)[0] for name in paper.authors]
    match families:
        case []:
            who = ""
        case [one]:
            who = one
        case [*others, last] if len(families) < 4:
            who = f"{', '.join(others)} and {last}"
        case _:
            who = f"{families[0]} et al."
    year = "" if paper.year is None else f"({paper.year})"
    head = " ".join(filter(None, (who, year)))
    where = ", ".join(filter(None, (paper.venue or paper.journal, paper.link)))
    title = paper.title if not where else f"{paper.title} " if paper.title[-1:] in "?!." else f"{paper.title}. "
    return one_line(f"{head}{': ' if head else ''}{title}{where}", width=1000)


def render_entry(paper: Paper, *, key: str = "", note: str = "") -> str:
    """The BibTeX entry of a paper, under its own key or another one, with a closing line feed.

    A conference paper is `@inproceedings`, a journal's `@article`, anything else `@misc`. A preprint's arXiv id is
    `howpublished`, which every style prints; beside a venue it is `eprint`. Names are `Family, Given`; words with
    capitals inside are kept from being set small.
    """
    kind = "inproceedings" if paper.venue else "article" if paper.journal else "misc"
    fields = {
        "author": " and ".join(map(_render_name, paper.authors)),
        "title": " ".join(map(_keep_capitals, paper.title.split())),
        "booktitle": _escape(paper.venue),
        "journal": _escape(paper.journal),
        "year": "" if paper.year is None else str(paper.year),
        "howpublished": f"arXiv:{paper.arxiv}" if paper.arxiv and kind == "misc" else "",
        "eprint": paper.arxiv if kind != "misc" else "",
        "archivePrefix": "arXiv" if paper.arxiv and kind != "misc" else "",
        "url": _escape_url(paper.link),
        "note": _escape(note),
    }
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
    return "\n".join([f"@{kind}{{{key or paper.key},", *lines, "}\n"])


@dataclass(slots=True, kw_only=True)
class _Bibliography:
    """The papers found so far, each with what rests on it, and what has none."""

    uses: dict[Paper, dict[str, list[str]]] = field(default_factory=dict[Paper, dict[str, list[str]]])
    lacking: list[str] = field(default_factory=list[str])
    _by_link: dict[str, Paper] = field(default_factory=dict[str, Paper])

    def add(self, paper: Paper | None, kind: str, name: str) -> None:
        """Note that something rests on a paper. Another one with the same address, or the same fields, is this one."""
        if paper is None:
            self.lacking.append(f"{kind} {name}")
            return
        same = self._by_link.setdefault(paper.link or repr(replace(paper, key="")), paper)
        names = self.uses.setdefault(same, {}).setdefault(kind, [])
        if name not in names:
            names.append(name)

    def keys(self) -> dict[Paper, str]:
        """A key for each: its own, or its own and a digest of what it is where two papers share one."""
        wanted = {HARNESS.key: 1}
        for paper in self.uses:
            wanted[paper.key.casefold()] = wanted.get(paper.key.casefold(), 0) + 1
        keys = {paper: paper.key for paper in self.uses}
        for paper in self.uses:
            if wanted[paper.key.casefold()] > 1:
                digest = hashlib.sha256(f"{paper.link}\n{paper.title}".encode(errors="replace")).hexdigest()
                keys[paper] = f"{paper.key}-{digest[:6]}"
        return keys


def render_bibliography(
    results: Sequence[Results], *, tasks: Iterable[Task], judges: Iterable[Judge], suites: Iterable[Suite]
) -> str:
    """The BibTeX of all that some results rest on, sorted by key, after a comment that names what has no paper.

    Args:
        results: of the runs.
        tasks: all that are loaded; one that is not loaded is named in the comment.
        judges: all that are loaded.
        suites: all that are loaded.
    """
    found = _Bibliography()
    offered = {task.name: task for task in tasks}
    rubrics = {judge.name: judge for judge in judges}
    sets = {suite.name: suite for suite in suites}
    known = _find_known([*offered.values(), *rubrics.values(), *sets.values()])
    missing: list[str] = []
    unlisted: list[str] = []
    sources: list[tuple[Paper, str]] = []
    for name in _list_names(results, "tasks"):
        base = name.partition("+")[0]
        if base not in offered:
            missing.append(f"task {base}")
            continue
        found.add(offered[base].paper, "task", base)
        splits = {split for each in results for split in _get(_get(_get(each, "tasks"), name), "splits")}
        listed = _list_splits(offered[base])
        for split in sorted(splits):
            if split not in listed and name == base:
                unlisted.append(f"{base}:{split}")
            elif split in listed and listed[split].paper is not None:
                found.add(listed[split].paper, "task", f"{base}:{split}")
        if name == base:
            sources += [(paper, base) for paper in _find_published(offered[base], splits, known)]
    cards = [_get(each, "judges") for each in results]
    asked = {str(rubric) for card in cards for judge in card if (rubric := _get(card, judge).get("rubric"))}
    for name in sorted(asked - _NO_METHODS):
        if name not in rubrics:
            missing.append(f"judge {name}")
            continue
        found.add(rubrics[name].paper, "judge", name)
    for name in _list_names(results, "suites"):
        if name in sets and sets[name].paper is not None:
            found.add(sets[name].paper, "suite", name)
    for paper, name in sources:
        found.add(paper, "published numbers of", name)
    versions = sorted({str(each.get("harness") or "") for each in results} - {""})
    head = ["% BibTeX of what these runs rest on; please cite each benchmark and judge that you report."]
    if found.lacking:
        head.append(f"% Without a paper: {', '.join(dict.fromkeys(found.lacking))}.")
    if missing:
        head.append(f"% Not loaded here, so their papers are not known: {', '.join(dict.fromkeys(missing))}.")
    if unlisted:
        head.append(f"% Not listed by their tasks, so look for papers of their own: {', '.join(unlisted)}.")
    keys = found.keys()
    parts = ["\n".join(map(_escape_comment, head)) + "\n"]
    version = f"Version {', '.join(versions)}" if versions else ""
    years = [int(year[:4]) for each in results if re.match(r"\d{4}-", year := str(each.get("finished") or ""))]
    parts.append(render_entry(replace(HARNESS, year=max(years, default=None)), note=version))
    for paper in sorted(keys, key=lambda paper: keys[paper].casefold()):
        used = "; ".join(f"{kind} {', '.join(names)}" for kind, names in found.uses[paper].items())
        parts.append(f"{_escape_comment(f'% {used}')}\n{render_entry(paper, key=keys[paper])}")
    return "\n".join(parts)


def _list_splits(task: Task) -> dict[str, Split]:
    """The splits that a task lists by itself, at default settings; none if it cannot tell without its data."""
    try:
        settings = effective(task.settings, {}, owner=f"task {task.name}")
        splits = task.splits(settings, Path(os.devnull, task.name)) if callable(task.splits) else task.splits
        return {name: splits[name] for name in splits}
    except Exception:  # noqa: BLE001 - a plugin's code; the rest of the bibliography stands
        return {}


def _find_known(items: Iterable[Task | Judge | Suite]) -> dict[str, Paper]:
    """The papers of all that is loaded, by the addresses that others name them by."""
    papers = [item.paper for item in items if item.paper is not None]
    known = {f"https://arxiv.org/abs/{paper.arxiv}": paper for paper in papers if paper.arxiv}
    return known | {paper.link: paper for paper in papers if paper.link}


def _find_published(task: Task, splits: set[str], known: Mapping[str, Paper]) -> Iterator[Paper]:
    """Where the published rows of a task's splits come from; a source that is no known paper is made one."""
    try:
        rows = published(task)
    except BadData:
        return
    for source in dict.fromkeys(row.source for row in rows if row.split in splits):
        arxiv = re.search(r"arxiv\.org/(?:abs|pdf)/(\d{4}\.\d{4,5})", source.url)
        address = f"https://arxiv.org/abs/{arxiv[1]}" if arxiv else source.url
        words = re.findall(r"[a-z0-9]+", source.title.casefold())
        made = Paper(key="-".join(["source", *words[:3]]), title=source.title, url=source.url)
        yield known.get(address, made)


def _get(body: Any, key: str) -> Mapping[str, Any]:
    value = cast("Mapping[str, Any]", body).get(key) if isinstance(body, Mapping) else None
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


def _list_names(results: Sequence[Results], key: str) -> list[str]:
    return sorted({name for each in results for name in _get(each, key)})


def _split_name(name: str) -> tuple[str, str]:
    """Family name and given names; an organisation has none given."""
    if "," in name:
        family, _, given = name.partition(",")
        return " ".join(family.split()), " ".join(given.split())
    given, _, family = " ".join(name.split()).rpartition(" ")
    return family, given


def _render_name(name: str) -> str:
    family, given = _split_name(name)
    shown = _escape(family)
    if not given or re.search(r",|\b(and|others)\b", family, re.IGNORECASE):
        shown = f"{{{shown}}}"  # one unit: no name is looked for in it
    if not given:
        return shown
    named = _escape(given)
    return f"{shown}, {{{named}}}" if re.search(r",|\b(and|others)\b", given, re.IGNORECASE) else f"{shown}, {named}"


def _keep_capitals(word: str) -> str:
    """A word of a title, in braces if a part of it holds a capital behind its first character.

    Punctuation around it stays outside: styles keep the capital of a word after a colon only if they see the colon.
    """
    found = re.fullmatch(r"(\W*)(.*?)(\W*)", word)
    assert found is not None  # any word does
    before, inner, after = found.groups()
    if not any(char.isupper() for part in inner.split("-") for char in part[1:]):
        return _escape(word)
    return f"{_escape(before)}{{{_escape(inner)}}}{_escape(after)}"


def _escape(text: str) -> str:
    """The text as a BibTeX value: accents as commands, braces balanced, on one line."""
    done: list[str] = []
    for word in unicodedata.normalize("NFC", plain(text)).split():
        parts: list[str] = []
        pending = ""  # escaped together, so that ligatures are seen
        for char in word:
            base, *accents = list(unicodedata.normalize("NFD", char))
            command = _LETTERS.get(char, "")
            if len(accents) == 1 and accents[0] in _ACCENTS and base.isascii() and base.isalpha():
                stem = {"i": r"\i", "j": r"\j"}.get(base, base)
                command = f"{{\\{_ACCENTS[accents[0]]}{stem}}}"
            if command:
                parts += [escape_tex(pending), command]
                pending = ""
            else:
                pending += char
        done.append("".join([*parts, escape_tex(pending)]))
    return " ".join(filter(None, done))


def _escape_url(url: str) -> str:
    """An address as `url` takes it, which prints its characters as they are; those that could end it are encoded."""

    def encode(match: re.Match[str]) -> str:
        return "".join(f"%{byte:02X}" for byte in match.group().encode(errors="replace"))

    return re.sub(r"[^!-~]|[{}\\^\"<>|`]", encode, url)


def _escape_comment(line: str) -> str:
    """A line outside of entries: BibTeX would begin one at an `@`, and some readers count braces."""
    return re.sub(r"[@{}]", "?", " ".join(plain(line).split()))
