"""Texts that a user can meet say what happened, where, and what to do. `make messages` prints them all."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from docs.messages import Text, list_messages, main

LONGEST = 300  #: characters, with places in braces as they stand in the code

#: words that say what to do, so that the sentence needs no remedy beside it
DEEDS = re.compile(r"\b(must be|must have|give|choose|drop or skip|skip this one|a seed is)\b")

#: classes whose text becomes part of another message, which has the place and the remedy
PARTS = {
    "BadQuestion": "the review's page shows it beside the question",
    "BadRecord": "the message that counts bad records names the file, each record and what to do",
    "NoResult": "becomes the message of a sample's error",
    "OutdatedReview": "the review's page shows it beside the item that is open now",
    "TooLargeForBatch": "becomes the message of a sample's error, which names the run without --batch",
    "Unanswered": "a gate adds what to do",
}

#: errors without place and remedy, each with the reason
EXCEPTIONS = {
    ("harness/evaluation/plan.py", "{plan.title} cannot be listed"): "names the split, and its task says the rest",
    ("harness/plugins/boundary.py", "{said}"): "the host adds the plugin, its author and the remedy",
    ("harness/plugins/own_time.py", "the request that this call"): "only the strategy's own code gets it",
    ("harness/replicas/child.py", "the replica stopped"): "the parent process adds the place and the remedy",
    ("harness/runs/gating/gate.py", "the run has no results"): "a gate names the run in the same line",
    ("harness/runs/gating/gate.py", "{'; '.join(faults)}"): "each fault has its own text in this list",
    ("harness/runs/gating/gate.py", "there is no difference of"): "the reason comes from results.json",
    ("harness/runs/gating/numbers.py", "{split.metric} has no"): "a gate names the rule and the run in the same line",
    ("harness/runs/verification.py", ""): "`harness verify` shows it beside the file it is about",
    ("training/harness_builder/photos/collection.py", "the file next to"): "becomes the reason of one photograph",
}

#: what a reader whose first language is another must look up, or reads twice
RIDDLES = re.compile(
    r"\b(e\.g|i\.e|etc|viz|cf|vs|via|per se|a priori|ad hoc|ergo|vice versa"  # Latin
    r"|descriptor|invocation|nonce|sentinel|idempotent|serialis\w+|stdlib|tuple|traceback of"  # the code's own words
    r"|mend|anew|thereof|hitherto|whence|lest|forthwith|dealt|somebody's|nobody's|all the same"  # old or rare
    r"|goes on|go on with|went on|take (it|that \w+|this \w+) (away|out)|has gone|quota is gone"
    r"|black ?list|white ?list|sanity|kill|orphan\w*|dangling|choke\w*|bail|swallow\w*|magic|happy|sad"  # metaphors
    r"|not un\w+able|not im\w+ible|never not|cannot not)\b",  # double negatives
    re.IGNORECASE,
)


def messages() -> list[Text]:
    return [each for each in list_messages() if not each.path.startswith("harness/testing/")]


def texts(*kinds: str) -> Iterator[tuple[Text, str]]:
    """The parts of all texts of these kinds."""
    for each in messages():
        if each.kind in kinds:
            yield from ((each, part) for part in (each.what, each.remedy) if part)


def place(text: Text) -> str:
    return f"{text.path}:{text.line}: {text.what}"


def without_code(text: str) -> str:
    """A text without values, code in backticks, flags and settings."""
    return re.sub(r"\{[^{}]*\}|`[^`]*`|'[^']*'|\S*[/=_]\S*|--?\w[\w-]*", " ", text)


def test_the_catalogue_prints_every_text_with_its_place(capsys: pytest.CaptureFixture[str]) -> None:
    assert main() == 0
    printed, counts = capsys.readouterr()
    assert "harness/descriptors.py:" in printed
    assert "remedy: raise it, such as with `ulimit -n 4096`" in printed
    for kind in ("error", "line", "help", "reason"):
        found = re.search(rf"(\d+) {kind}", counts)
        assert found
        assert int(found[1]) > 50, kind


def test_every_error_says_where_or_what_to_do() -> None:
    lacking = [
        place(each)
        for each in messages()
        if each.kind == "error" and not (each.where or each.remedy or each.name.endswith("()"))
        if each.name not in PARTS and not DEEDS.search(each.what)
        if not any(each.path == path and each.what.startswith(start) for path, start in EXCEPTIONS)
    ]
    assert lacking == []


def test_no_exception_is_listed_for_an_error_that_is_gone() -> None:
    errors = [each for each in messages() if each.kind == "error" and not (each.where or each.remedy)]
    gone = [
        (path, start)
        for path, start in EXCEPTIONS
        if not any(each.path == path and each.what.startswith(start) for each in errors)
    ]
    assert gone == []
    assert {each.name for each in errors} >= PARTS.keys()


def test_no_text_holds_a_word_that_a_stranger_must_look_up() -> None:
    found = [
        f"{match[0]}: {place(each)}"
        for each, part in texts("error", "line", "help", "reason")
        if (match := RIDDLES.search(without_code(part)))
    ]
    assert found == []


def test_no_text_is_longer_than_a_reader_takes_in_at_once() -> None:
    assert [place(each) for each, part in texts("error", "help", "reason") if len(part) > LONGEST] == []


def test_an_error_begins_small_and_ends_without_a_full_stop() -> None:
    """So that it stands as well after `error: ` and inside another sentence; names keep their capital."""
    names = r"Ray|Slurm|Pillow|Google|Vertex|Llama|OpenCV|HF_|HARNESS|ANTHROPIC|VLMEvalKit|MM-SafetyBench|[A-Z]\w*[A-Z]"
    capital = [place(each) for each, part in texts("error") if re.match(rf"(?!{names})[A-Z][a-z]+[ ,]", part)]
    stopped = [place(each) for each, part in texts("error") if part.endswith(".")]
    assert capital == []
    assert stopped == []


def test_the_help_of_a_flag_is_a_sentence_and_that_of_a_setting_is_not() -> None:
    """A flag's help begins with a capital and has a full stop, before what click adds in brackets."""
    flags = [each for each in messages() if each.kind == "help" and each.name.startswith("-")]
    wrong = [place(each) for each in flags if not re.match(r"[A-Z`{<].*[.})>](\s+\[.*\])?$", each.what, re.DOTALL)]
    assert wrong == []
    settings = [each for each in messages() if each.kind == "help" and each.name == "Setting"]
    assert [place(each) for each in settings if each.what.endswith(".")] == []
