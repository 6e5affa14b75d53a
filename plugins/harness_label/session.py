"""One annotator's session: the page over the drawn answers, or a file of labels; then verdicts and results.

Lines of `labels-NAME.jsonl` become verdicts when the page ends. A session that was killed is made good when the next
one starts, whoever starts it; a session that is going on is left alone, by its lock.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from harness import BadImage, HarnessError, Verdict
from harness.board.corrected import ADDS_NOTHING, count_things, format_corrected, parse_corrected
from harness.board.display import format_estimate
from harness.files import HeldLock, lock_file, lock_path, report_write_errors
from harness.review import OutdatedReview, normalize_reviewer
from harness.runs.label_entry import (
    SKIPPED,
    EnteredWords,
    Said,
    SplitProgress,
    count_progress,
    enter_words,
    find_person,
    match_words,
    refresh_results,
)
from harness.runs.label_plan import explain_uncorrected
from harness.runs.label_sheets import FilledSheet, read_sheet
from harness.runs.labelling import (
    DrawnSplit,
    LabelItem,
    check_labelable,
    draw_run,
    list_label_items,
    load_draws,
    map_labels,
)
from harness.runs.stored import HUMAN, StoredRun, open_run
from harness.store.folder import check_inside
from harness.text import say
from harness.types import Json

from .log import PREFIX, Label, find_annotators, read_annotations
from .queue import LabelQueue

SCHEMA: Final = "harness.label/1"
_NAMED: Final = 3  # items that a message names


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """What a session left in one run.

    Attributes:
        run: the run folder.
        judge: the person's id.
        splits: progress on each drawn split.
        corrected: `task:split` -> its main metric: name, the body of results.json.
        problems: what does not count, and why, in sentences.
        notes: what else the user should know.
    """

    run: Path
    judge: str
    splits: tuple[SplitProgress, ...]
    corrected: Mapping[str, tuple[str, Mapping[str, Any]]]
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Json]:
        """The run's entry in the output of `--json`."""
        splits: dict[str, Json] = {}
        for each in self.splits:
            name, body = self.corrected.get(each.title, ("", {}))
            splits[each.title] = {
                "drawn": each.drawn,
                "labelled": each.labelled,
                "skipped": each.skipped,
                "open": each.open,
                "waiting": each.waiting,
                "missing": each.missing,
                "metric": name or None,
                "value": body.get("value"),
                "ci95": body.get("ci95"),
                "corrected": body.get("corrected"),
            }
        return {
            "run": str(self.run),
            "judge": self.judge,
            "splits": splits,
            "problems": list(self.problems),
            "notes": list(self.notes),
        }


def print_labelled(found: Sequence[Labelled], *, quiet: bool = False) -> None:
    """Print where each split stands and what the corrected number says; `quiet` leaves notes and problems alone."""
    for each in found:
        for note in each.notes:
            say(f"note: {note}", err=True)
        for problem in each.problems:
            say(f"problem: {problem}", err=True)
        if quiet:
            continue
        if len(found) > 1:
            say(str(each.run), err=True)
        for split in each.splits:
            counts = f"{split.drawn} drawn, {split.labelled} labelled, {split.skipped} skipped, {split.open} open"
            say(f"{split.title}  {each.judge}: {counts}", err=True)
            if split.title in each.corrected:
                for line in describe_corrected(*each.corrected[split.title]):
                    if not (split.waiting and "not count yet" in line):  # the next line says it with what is missing
                        say(f"  {line}", err=True)
            if split.waiting:
                do = "label does" if split.waiting == 1 else "labels do"
                will = f"will count after {split.missing} more"
                say(f"  {split.waiting} {do} not count yet: {'it' if split.waiting == 1 else 'they'} {will}", err=True)
        say(f"results: {each.run / 'results.json'}", err=True)


def describe_corrected(name: str, body: Mapping[str, Any]) -> Iterator[str]:
    """A metric beside what people's labels say of it, and what a reader should know of the labels."""
    unit = body["unit"]
    number = f"{name} {format_estimate(body['value'], body['ci95'], unit)}"
    found = parse_corrected(body.get("corrected"))
    if found is None:
        yield number
    elif found.value is None:
        yield f"{number} · no number by people: {found.why}"
    else:
        yield f"{number} · by people {format_corrected(found, unit)}, {found.agreement}"
        if found.adds_nothing:
            yield ADDS_NOTHING
    yield from found.notes if found is not None else ()


def label_runs(
    runs: Sequence[StoredRun],
    person: str,
    *,
    n: int | None,
    seed: int | None,
    judge: str,
    guideline: str,
    port: int,
    ready: Callable[[str], None],
    command: Sequence[str],
) -> list[Labelled]:
    """Serve one page over the drawn answers of all runs until it is ended, and enter the labels of each run.

    Args:
        runs: each opened with its tasks.
        person: the annotator's name, as given.
        n: as `draw_run`.
        seed: likewise.
        judge: likewise.
        guideline: replaces that of the rubrics; empty for theirs.
        port: of the page; 0 for any free one.
        ready: gets the page's address.
        command: this invocation's arguments.

    Raises:
        HarnessError: a run cannot be labelled, the name is not allowed, or this person has a session already.
    """
    from harness.extras import require

    with require("serve", by="the page"):
        from .page import serve_labels

    name = normalize_reviewer(person, "annotator")
    for run in runs:
        find_person(name, run.file)
        check_labelable(run)
        run.folder.check_writable("label in a copy of the folder that you may write to")
    with ExitStack() as stack:
        for run in runs:
            stack.enter_context(hold_session(run, name))
        drawn: list[tuple[StoredRun, tuple[DrawnSplit, ...]]] = []
        items: list[LabelItem] = []
        for run in runs:
            mend_sessions(run, name, command=command)
            again = reopen(run)
            splits = draw_run(again, n=n, seed=seed, judge=judge)
            for line in describe_draw(splits):
                say(line, err=True)
            refresh_results(again, command=command)
            drawn.append((again, splits))
            items += list_label_items(again, splits, guideline=guideline)
        for note in list_gone_images(items):
            say(f"note: {note}", err=True)
        serve_labels(LabelQueue(items), ready=ready, annotator=name, port=port)
        return [finish_run(run, splits, name, command=command) for run, splits in drawn]


def describe_draw(drawn: Iterable[DrawnSplit]) -> Iterator[str]:
    """What was drawn of each split, and why again."""
    for each in drawn:
        cells = ", ".join(f"{count} of {of} {name}" for name, (of, count) in each.draw.cells.items())
        by = each.draw.judge or "no judge"
        count = count_things(len(each.items), "answer")
        yield f"{each.plan.title}: {count} drawn by {by}, seed {each.draw.seed}: {cells}"
        if why := explain_uncorrected(each.plan):
            yield f"  note: {why}"
        before = each.before
        if each.moved:
            yield "  answers or labels of the judge have changed since the last draw, so it was made again; labels stay"
        elif before is not None and before.judge != each.draw.judge:
            yield f"  it was drawn by {before.judge or 'no judge'} before; labels stay"


def list_gone_images(items: Iterable[LabelItem]) -> Iterator[str]:
    """A note on images that are not where the run had them, or are others than the model was shown."""
    gone: dict[str, str] = {}
    answers = 0
    for item in items:
        faults: dict[str, str] = {}
        for image, known in zip(item.images, item.image_hashes or ("",) * len(item.images), strict=True):
            try:
                image.files.stamp(image.path)
                if known and sha256(image.files.read(image.path)).hexdigest() != known:
                    faults[image.path] = "another picture than the model was shown"
            except BadImage as fault:
                faults[image.path] = fault.reason
        answers += bool(faults)
        gone |= faults
    if gone:
        named = ", ".join(f"{path} ({why})" for path, why in list(gone.items())[:_NAMED])
        more = f", and {len(gone) - _NAMED} more" if len(gone) > _NAMED else ""
        count = count_things(answers, "answer")
        yield (
            f"{count} cannot be labelled, since images are gone or changed: {named}{more}; put the data back "
            "where the run had it (`harness data`), or skip these answers"
        )


@contextmanager
def hold_session(run: StoredRun, name: str) -> Generator[None]:
    """Be the only session of a person in a run. Raises HarnessError if there is another one."""
    busy = HarnessError(
        f"{name} has a session on this run already",
        where=str(run.folder.path),
        remedy="continue in that one or end it, or label under another name",
    )
    place = run.folder.session_lock(name)
    for folder in dict.fromkeys(run.folder.task(plan.display).path for plan in run.plans):
        log = folder / f"{PREFIX}-{name}.jsonl"
        for file in (log, lock_path(log)):  # the folder may come from somebody else
            check_inside(run.folder.path, file)
    with (
        report_write_errors(place, remedy="label in a copy of the folder"),
        lock_file(place, busy=busy),
        run.folder.hold_for_writing(),  # so that no `--fresh` moves the folder
    ):
        yield


def mend_sessions(run: StoredRun, name: str, *, command: Sequence[str]) -> None:
    """Enter what sessions that were killed have left in their logs; `name` is the person whose lock is held.

    What is wrong with another person's log is said, and stops nobody.
    """
    for person in list_people(run):
        held: HeldLock | None = None
        if person != name:
            try:
                held = lock_file(run.folder.session_lock(person), busy=OutdatedReview("it is going on"))
            except OutdatedReview:
                continue
            except (HarnessError, OSError) as error:
                say(f"note: the log of {person} was not entered: {error}", err=True)
                continue
        try:
            entered = enter_log(reopen(run), person, command=command)
        except HarnessError as error:
            if person == name:
                raise
            say(f"note: the log of {person} was not entered: {error}", err=True)
            continue
        finally:
            if held is not None:
                held.release()
        if entered.entered is not None:
            new = count_things(entered.entered.new + entered.entered.changed, "label")
            say(f"entered {new} of {person} that an earlier session had left", err=True)
        for problem in list_problems(entered) if person != name else ():
            say(f"note: {person}: {problem}", err=True)


def list_people(run: StoredRun) -> tuple[str, ...]:
    """Who has a log in a planned task of the run."""
    folders = dict.fromkeys(run.folder.task(plan.display).path for plan in run.plans)
    return tuple(dict.fromkeys(person for folder in folders for person in find_annotators(folder)))


def list_unentered(run: StoredRun) -> Iterator[str]:
    """A note on each person whose log holds what is no verdict yet."""
    for person in list_people(run):
        said, known = read_log(run, person)
        if new := match_words(run, find_person(person, run.file), said, known).new:
            count = count_things(len(new), "line")
            yield (
                f"{count} of {person}'s log are not entered yet, and are not counted here: "
                f"harness label {run.folder.path} --as {person}"
            )


def read_log(run: StoredRun, name: str) -> tuple[list[Said], dict[str, tuple[str, ...]]]:
    """A person's last words by their logs in a run, and `task:split` -> the labels that may be given."""
    folders = dict.fromkeys(run.folder.task(plan.display).path for plan in run.plans)
    said = [
        Said(
            item=each.item,
            decision=Verdict(label=each.label, reason=each.reason) if each.label else SKIPPED,
            answer_hash=each.answer_hash,
            at=each.at,
            withdrawn=each.withdrawn,
        )
        for folder in folders
        for each in read_annotations(folder, name)
    ]
    # words on the planned splits, and on no split of this run at all; not those of splits that are not planned
    planned = tuple(_item_prefix(plan.title) for plan in run.plans)
    others = tuple(_item_prefix(title) for title in run.splits if not _item_prefix(title).startswith(planned))
    within = [each for each in said if each.item.startswith(planned) or not each.item.startswith(others)]
    return within, {plan.title: map_labels(plan.split, plan.maps).labels for plan in run.plans}


def enter_log(run: StoredRun, name: str, *, command: Sequence[str]) -> EnteredWords:
    """Enter what a person's logs in a run say."""
    said, known = read_log(run, name)
    return enter_words(run, find_person(name, run.file), said, known, command=command)


def _item_prefix(title: str) -> str:
    display, _, name = title.rpartition(":")
    return f"{display}/{name}/"


def reopen(run: StoredRun) -> StoredRun:
    """The same run and splits, with what was written since."""
    return replace(open_run(run.folder.path), selection=run.selection)


def finish_run(
    run: StoredRun,
    drawn: Sequence[DrawnSplit],
    name: str,
    *,
    command: Sequence[str],
    notes: Sequence[str] = (),
) -> Labelled:
    """Enter a person's log, and say where each split stands."""
    entered = enter_log(reopen(run), name, command=command)
    return summarize(run, drawn, name, entered, [*notes, *list_outdated(entered)])


def summarize(
    run: StoredRun, drawn: Sequence[DrawnSplit], name: str, entered: EnteredWords, notes: Sequence[str]
) -> Labelled:
    """Where each drawn split stands. A task that could not be scored has no number: its results are those of before."""
    now = reopen(run)
    unscored = frozenset[str]() if entered.entered is None else entered.entered.computed.unscored.keys()
    judge = find_person(name, now.file)
    results = now.folder.results.get("tasks", {})
    corrected: dict[str, tuple[str, Mapping[str, Any]]] = {}
    for each in drawn:
        view = results.get(each.plan.display, {}).get("splits", {}).get(each.plan.name)
        if view is None or each.plan.display in unscored:
            continue
        views = {view["judge"]: view, **view["other_judges"]}
        machine = views.get(each.draw.judge) or (view if not str(view["judge"]).startswith(f"{HUMAN}-") else None)
        metrics: Mapping[str, Mapping[str, Any]] = {} if machine is None else machine["metrics"]
        main = next((metric for metric, body in metrics.items() if body.get("main")), next(iter(metrics), ""))
        if main and "corrected" in metrics[main]:
            corrected[each.plan.title] = main, metrics[main]
    return Labelled(
        run=run.folder.path,
        judge=judge,
        splits=tuple(count_progress(now, drawn, judge)),
        corrected=corrected,
        problems=tuple(list_problems(entered)),
        notes=tuple(notes),
    )


def list_problems(entered: EnteredWords) -> Iterator[str]:
    """What of a person's words was not counted and never will be."""
    if entered.foreign:
        count = count_things(len(entered.foreign), "line")
        yield (
            f"on no answer of this run: {count} of the log ({_name(entered.foreign)}); the log is another run's or "
            "was edited: remove these lines"
        )
    if entered.unknown:
        count = count_things(len(entered.unknown), "label")
        pairs = [f"{item} is {label!r}" for item, label in entered.unknown]
        yield f"none of the split's labels: {count} of the log ({_name(pairs)}); label these answers again"
    if entered.entered is not None:
        for display, fault in entered.entered.computed.unscored.items():
            yield f"{display} could not be scored: the task raised {fault}"
        yield from entered.entered.computed.unread


def list_outdated(entered: EnteredWords) -> Iterator[str]:
    """Labels whose answer is another one now."""
    if entered.outdated:
        count = count_things(len(entered.outdated), "label")
        yield f"{count} were given on other answers than the run has now, and do not count: {_name(entered.outdated)}"


def _name(items: Sequence[str]) -> str:
    more = f", and {len(items) - _NAMED} more" if len(items) > _NAMED else ""
    return ", ".join(items[:_NAMED]) + more


def import_labels(run: StoredRun, file: Path, person: str, *, command: Sequence[str]) -> Labelled:
    """Enter the labels of a file.

    Args:
        run: opened with the tasks that may be labelled.
        file: CSV as `--export` writes it, or a JSON export of Label Studio.
        person: the annotator's name; for JSON of several people `NAME=ANNOTATOR`.
        command: this invocation's arguments.

    Raises:
        BadData: it names each row that is wrong; nothing is kept.
    """
    given, _, annotator = person.partition("=")
    is_csv = file.suffix.lower() == ".csv"
    if is_csv and annotator:
        raise HarnessError(f"--as {person}: a .csv file holds one person's labels", remedy=f"give --as {given}")
    name = normalize_reviewer(given, "annotator")
    judge = find_person(name, run.file)
    check_labelable(run)
    run.folder.check_writable("import into a copy of the folder that you may write to")
    if is_csv:
        sheet = read_sheet(run, file)
    else:
        from .label_studio import read_tasks

        sheet = read_tasks(run, file, annotator)
    with hold_session(run, name):
        mend_sessions(run, name, command=command)
        now = reopen(run)
        there = _find_labelled(now, judge)
        skipped = [answer for answer in sheet.skipped if answer.item not in there]
        drawn: tuple[DrawnSplit, ...] = ()
        if load_draws(now):
            drawn = draw_run(_only_drawn(now))
            refresh_results(now, command=command)
            _write_log(now, drawn, sheet, skipped, name)
        said = [
            *(Said(item=each.answer.item, decision=each.decision) for each in sheet.labels),
            *(Said(item=answer.item, decision=SKIPPED) for answer in skipped),
        ]
        entered = enter_words(now, judge, said, {}, command=command)
    done = entered.entered
    same = len(said) - (done.new + done.changed if done else 0)  # words that a verdict says already are not entered
    counts = f"{done.new} new, {done.changed} changed, {same} as before" if done else "all as before"
    notes = [f"{judge}: {count_things(len(sheet.labels), 'label')} and {count_things(len(skipped), 'skip')} ({counts})"]
    if done and done.changed:
        which = "earlier label was" if done.changed == 1 else "earlier labels were"
        notes.append(
            f"{done.changed} {which} replaced: the newest word counts in a file, where on the page the first label "
            "counts once the judge's was shown"
        )
    within = {item for each in drawn for item in each.items}
    outside = [each.answer.item for each in sheet.labels if each.answer.item not in within]
    if outside:
        one = len(outside) == 1
        which = "label is on an answer that was" if one else "labels are on answers that were"
        notes.append(
            f"{len(outside)} {which} not drawn, and corrects nothing yet: {_name(outside)}; "
            f"harness label {run.folder.path} draws, and keeps all labels"
        )
    return summarize(now, drawn, name, entered, notes)


def _find_labelled(run: StoredRun, judge: str) -> set[str]:
    """Answers that a person has labelled."""
    return {
        answer.item
        for plan in run.plans
        for answer in run.answers(plan.title, (judge,))
        if judge in answer.verdicts and answer.verdicts[judge]["state"] == "scored"
    }


def _only_drawn(run: StoredRun) -> StoredRun:
    """The run with the splits that have a draw."""
    draws = load_draws(run)
    plans = tuple(plan for plan in run.plans if plan.title in draws)
    return replace(run, selection=replace(run.selection, plans=plans))


def _write_log(
    run: StoredRun, drawn: Sequence[DrawnSplit], sheet: FilledSheet, skipped: Sequence[Any], name: str
) -> None:
    """Write imported labels of drawn answers into the person's log too, so that the page does not ask them again."""
    queue = LabelQueue(list_label_items(run, drawn))
    session = queue.session(name)
    keys = {item.item: key for key, item in queue.items.items()}
    decided = session.progress().decided
    for each in sheet.labels:
        key = keys.get(each.answer.item)
        if key is not None and isinstance(each.decision, Verdict):
            label = Label(label=each.decision.label, reason=each.decision.reason)
            before = decided.get(key)
            if before is None or (before.label, before.reason) != (label.label, label.reason):
                session.write_answer(key, label, anyway=True)
    open_keys = set(session.progress().open)
    for answer in skipped:
        key = keys.get(answer.item)
        if key is not None and key in open_keys:
            session.skip(key)
