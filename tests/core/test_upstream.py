"""Upstream's words are read from a stand-in script of the same shape, in our own words, and never run."""

import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.data.literals import read_literals
from harness.data.upstream import Pin, Upstream, copy, fetch
from harness.errors import BadData, HarnessError, MissingData

SCRIPT = '''
import a_module_nobody_has
from typing import Literal
from pydantic import BaseModel

MARKER = open("ran.txt", "w").write("this script was run")
GREETING = "Look at the picture. " + "Then say: "
settings = {"max_tokens": 128, "temperature": 0.0, "offset": -1, **{}}
aspects = {
    "colours": {
        "0": "It names no colour.",
        "1": 'It names "red".',
    },
}

class OUTPUT(BaseModel):
    colour: Literal["Red", "Blue"]
    shape: Literal["Round"] = "Round"
    free: str

def judge(rows):
    TEMPLATE = """
    Which colour is it?
    <question>: {question}
    """.strip()
    for row in rows:
        message = [
            {"role": "system", "content": "You know colours."},
            {"role": "user", "content": [{"type": "image_url", "url": f"data:{row}"}, {"text": TEMPLATE.format(row)}]},
        ]
        picked = row
    return message

def other():
    LOCAL = "one"
    def inner():
        LOCAL = "two"
'''


def test_a_script_that_is_nested_too_deep_is_no_script() -> None:
    with pytest.raises(ValueError, match="not a Python file"):
        read_literals("A = " + " + ".join(["'a'"] * 2500))


def test_a_module_constant_a_concatenation_and_a_nested_dict_are_read() -> None:
    found = read_literals(SCRIPT)
    assert found["GREETING"] == "Look at the picture. Then say: "
    assert found["aspects"]["colours"]["1"] == 'It names "red".'
    assert found["settings"] == {"max_tokens": 128, "temperature": 0.0, "offset": -1}


def test_a_stripped_literal_inside_a_function_is_read_under_its_plain_and_its_dotted_name() -> None:
    found = read_literals(SCRIPT)
    assert found["judge.TEMPLATE"] == found["TEMPLATE"]
    assert found["TEMPLATE"] == "Which colour is it?\n    <question>: {question}"


def test_a_name_with_two_values_in_two_functions_has_only_dotted_names() -> None:
    found = read_literals(SCRIPT)
    assert "LOCAL" not in found
    assert (found["other.LOCAL"], found["other.inner.LOCAL"]) == ("one", "two")


def test_the_choices_of_a_class_field_are_read_from_its_annotation() -> None:
    found = read_literals(SCRIPT)
    assert found["OUTPUT.colour"] == ["Red", "Blue"]
    assert found["OUTPUT.shape"] == "Round"
    assert "OUTPUT.free" not in found


def test_what_is_not_literal_stands_as_an_ellipsis_in_its_container_and_is_left_out_alone() -> None:
    found = read_literals(SCRIPT)
    assert found["judge.message"][0] == {"role": "system", "content": "You know colours."}
    assert found["judge.message"][1]["content"] == [{"type": "image_url", "url": ...}, {"text": ...}]
    assert not {"MARKER", "judge.picked"} & set(found)


def test_what_json_cannot_hold_is_no_literal_and_no_name() -> None:
    found = read_literals(
        "A = b'raw'\nB = 2j\nC = ['a', b'raw', 1j]\nD = {b'k': 1, 2j: 2, 'k': 3, ...: 4}\nE = b'a'.strip()"
    )
    assert found == {"C": ["a", ..., ...], "D": {"k": 3}}


def test_nothing_of_the_script_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    read_literals(SCRIPT)
    assert not (tmp_path / "ran.txt").exists()


@pytest.mark.parametrize("source", ["def f(:", "x = 1\x00", "(" * 5000 + ")" * 5000, "-" * 20000 + "1"])
def test_a_file_that_is_not_python_is_refused_with_a_value_error(source: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_literals(source)


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def pin(**files: str) -> Pin:
    named = files or {"utils/words.py": SCRIPT}
    commit = "0123456789abcdef0123456789abcdef01234567"
    hashes = {path: sha256(text) for path, text in named.items()}
    return Pin(task="colours", repository="someone/colours", commit=commit, files=hashes)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    (tmp_path / "clone" / "utils").mkdir(parents=True)
    (tmp_path / "clone" / "utils" / "words.py").write_text(SCRIPT)
    return tmp_path / "clone"


def test_a_copy_of_the_user_is_put_under_the_commit_and_read_from_there(tmp_path: Path, clone: Path) -> None:
    upstream = copy(pin(), tmp_path / "data", clone)
    assert (tmp_path / "data" / "prompts" / pin().commit / "utils" / "words.py").read_text() == SCRIPT
    assert upstream.text("utils/words.py", "TEMPLATE").startswith("Which colour")
    assert upstream.text("utils/words.py", "aspects", "colours", "0") == "It names no colour."


@pytest.mark.parametrize("given", ["utils", "utils/words.py"])
def test_the_copy_may_be_a_flat_folder_or_the_one_file(tmp_path: Path, clone: Path, given: str) -> None:
    assert copy(pin(), tmp_path, clone / given).fidelity("utils/words.py") == "upstream"


def test_a_file_with_other_words_is_modified_and_never_called_upstream(tmp_path: Path, clone: Path) -> None:
    (clone / "utils" / "words.py").write_text(SCRIPT.replace("Which colour", "What colour"))
    assert copy(pin(), tmp_path, clone).fidelity("utils/words.py") == "modified"


def test_a_copy_without_the_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(MissingData, match=r"utils/words\.py is not in"):
        copy(pin(), tmp_path / "data", tmp_path)


def test_words_that_were_not_fetched_say_how_to_fetch_them(tmp_path: Path) -> None:
    with pytest.raises(MissingData) as caught:
        Upstream(tmp_path, pin()).literals("utils/words.py")
    assert caught.value.remedy == "harness data fetch colours --prompts"


def test_words_that_stand_in_no_script_are_read_as_the_whole_file(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("Say: hello.", encoding="utf-8")
    upstream = copy(pin(**{"README.md": "Say: hello."}), tmp_path / "data", tmp_path)
    assert upstream.document("README.md") == "Say: hello."
    (upstream.pin.folder(tmp_path / "data") / "README.md").write_bytes(b"\xff")
    with pytest.raises(BadData, match="not UTF-8"):
        upstream.document("README.md")


@pytest.mark.parametrize("name", ["NOWHERE", "aspects", "settings"])
def test_a_text_that_is_not_there_is_bad_data_that_names_file_and_constant(
    tmp_path: Path, clone: Path, name: str
) -> None:
    with pytest.raises(BadData) as caught:
        copy(pin(), tmp_path, clone).text("utils/words.py", name)
    assert caught.value.where.endswith(f"words.py, {name}")


def test_a_script_that_does_not_parse_is_bad_data(tmp_path: Path, clone: Path) -> None:
    (clone / "utils" / "words.py").write_text("def f(:\n")
    with pytest.raises(BadData, match="not a Python file"):
        copy(pin(), tmp_path, clone).literals("utils/words.py")


class Repository(http.server.BaseHTTPRequestHandler):
    """Serves the stand-in script at the address a raw file has, and nothing else."""

    def do_GET(self) -> None:
        known = self.path == f"/someone/colours/{pin().commit}/utils/words.py"
        body = SCRIPT.encode() if known else b"404: Not Found"
        self.send_response(200 if known else 404)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Repository) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}" + "/{repository}/{commit}/{path}"
        server.shutdown()
        thread.join()


def test_fetching_downloads_the_pinned_file_of_the_pinned_commit(tmp_path: Path, address: str) -> None:
    assert fetch(pin(), tmp_path, url=address).fidelity("utils/words.py") == "upstream"
    assert not list(tmp_path.rglob("*.part"))


def test_a_file_the_server_does_not_have_is_an_error_that_offers_a_local_copy(tmp_path: Path, address: str) -> None:
    with pytest.raises(HarnessError, match="404") as caught:
        fetch(pin(**{"utils/gone.py": ""}), tmp_path, url=address)
    assert "--from PATH" in caught.value.remedy
    assert not list(tmp_path.rglob("*.py"))


def test_a_server_that_is_not_there_is_an_error_that_offers_a_local_copy(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="could not download"):
        fetch(pin(), tmp_path, url="http://127.0.0.1:9/{path}")


def test_an_endless_file_is_refused(tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.data.upstream.SIZE_LIMIT", 100)
    with pytest.raises(HarnessError, match="larger than a script"):
        fetch(pin(), tmp_path, url=address)
