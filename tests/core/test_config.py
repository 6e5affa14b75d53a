"""The config: where it is read from, what it may hold, and what it says to a mistake."""

from pathlib import Path

import pytest

from harness import Suite
from harness.errors import HarnessError, UnknownName
from harness.runs.config import load_config, load_yaml

KNOWN = ("data", "judge", "suites", "task_settings", "limit")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's config folder; the working directory is another one, and empty."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "harness").mkdir()
    return tmp_path / "harness"


def put(folder: Path, text: str) -> Path:
    path = folder / "harness.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_without_a_file_there_is_nothing(home: Path) -> None:
    assert load_config(None, lambda: KNOWN) == {}


def test_the_local_file_stands_over_the_users(home: Path) -> None:
    put(home, "limit: 1\ndata: /user")
    put(Path(), "limit: 2")
    assert load_config(None, lambda: KNOWN) == {"limit": 2, "data": "/user"}


def test_mappings_of_both_files_are_merged_key_by_key(home: Path) -> None:
    put(home, "suites: {core: [mis], mine: [mssbench]}\ntask_settings: {mis.data: /a}")
    put(Path(), "suites: {core: [mis, mssbench]}\ntask_settings: {mis.prompts: own}")
    found = load_config(None, lambda: KNOWN)
    tasks = {name: row.suite.tasks for name, row in found["suites"].items()}
    assert tasks == {"core": ("mis", "mssbench"), "mine": ("mssbench",)}
    assert found["task_settings"] == {"mis.data": "/a", "mis.prompts": "own"}


def test_a_file_that_is_named_is_the_only_one(home: Path, tmp_path: Path) -> None:
    put(home, "limit: 1")
    put(Path(), "data: /local")
    assert load_config(put(tmp_path, "limit: 3"), lambda: KNOWN) == {"limit": 3}


def test_an_unknown_key_is_answered_with_the_nearest_and_the_file(home: Path) -> None:
    put(Path(), "limits: 3")
    with pytest.raises(UnknownName, match="unknown key 'limits'") as caught:
        load_config(None, lambda: KNOWN)
    assert caught.value.where == "harness.yaml"
    assert caught.value.remedy == "did you mean 'limit'?"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- a\n- b", "must be a mapping of flags"),
        ("a: b: c", "not YAML"),
        ("suites: [mis]", "suites must be a mapping"),
        ("suites: {core: {mis: 1}}", "a suite has no 'mis'"),
        ("suites: {core: {tasks: {mis: 1}}}", "must be a list of tasks"),
        ("suites: {core: {tasks: [mis], judges: [mis]}}", "must be a mapping"),
        ("suites: {core: 3}", "must be a mapping, or for a suite a list of tasks"),
        ("suites: {core: []}", "a suite needs tasks"),
    ],
)
def test_what_is_no_config_is_said(home: Path, text: str, said: str) -> None:
    put(Path(), text)
    with pytest.raises(HarnessError, match=said):
        load_config(None, lambda: KNOWN)


@pytest.mark.parametrize(
    ("text", "key", "line"),
    [
        ("model: a/b\ntasks: mis\n'model': c/d\n", "model", 3),
        ("task_settings:\n  mis.data: a\n  mis.data: b\n", "mis.data", 3),
        ("tasks:\n  - {a: 1, b: 2, a: 3}\n", "a", 2),
        ("model_settings: {a: {1: x,\n 1: x}}\n", "1", 2),
    ],
)
def test_a_key_that_stands_twice_is_refused_with_its_line(home: Path, text: str, key: str, line: int) -> None:
    (home / "twice.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(HarnessError, match=f"the key '{key}' is there twice, first in line") as caught:
        load_yaml(home / "twice.yaml", "the config")
    assert caught.value.where == f"{home / 'twice.yaml'}, line {line}"


def test_what_is_merged_into_a_mapping_may_be_said_again(home: Path) -> None:
    text = "a: &a {x: 1, y: 2}\nb: {<<: *a, <<: {z: 3}, x: 4}\nc: {<<: *a, x: 5}\nd: &d [*d, *a]\n1: m\n'1': n\n"
    (home / "merged.yaml").write_text(text, encoding="utf-8")
    found = load_yaml(home / "merged.yaml", "the config")
    assert isinstance(found, dict)
    assert (found["b"], found["c"]) == ({"x": 4, "y": 2, "z": 3}, {"x": 5, "y": 2})
    assert (found[1], found["1"]) == ("m", "n")


def test_a_file_in_another_encoding_is_said(home: Path) -> None:
    Path("harness.yaml").write_bytes(b"data: \xff\xfe")
    with pytest.raises(HarnessError, match="not YAML"):
        load_config(None, lambda: KNOWN)


def test_a_yaml_that_is_nested_too_deeply_is_refused_as_such(tmp_path: Path) -> None:
    file = tmp_path / "deep.yaml"
    file.write_text("[" * 20_000 + "]" * 20_000, "utf-8")
    with pytest.raises(HarnessError, match=r"the config is nested too deeply \(.*deep\.yaml\)"):
        load_yaml(file, "the config")


def test_a_number_of_thousands_of_digits_is_refused_as_no_yaml(tmp_path: Path) -> None:
    file = tmp_path / "long.yaml"
    file.write_text("limit: " + "9" * 5000, "utf-8")
    with pytest.raises(HarnessError, match=r"the config is not YAML.*\(.*long\.yaml\)"):
        load_yaml(file, "the config")


def test_a_fault_of_the_yaml_is_told_with_the_name_of_the_file_and_the_line(home: Path) -> None:
    for text, said in (("a: 1\nb: [c: d", 'in "harness.yaml", line 2'), ("a: 1\nb: \a", 'in "harness.yaml", position')):
        put(Path(), text)
        with pytest.raises(HarnessError, match=said) as caught:
            load_config(None, lambda: KNOWN)
        assert "unicode string" not in str(caught.value)


def test_a_named_file_that_is_missing_is_said(home: Path) -> None:
    with pytest.raises(HarnessError, match="cannot read the config: No such file"):
        load_config(Path("gone.yaml"), lambda: KNOWN)


def test_an_empty_file_says_nothing(home: Path) -> None:
    put(Path(), "# nothing yet\n")
    assert load_config(None, lambda: KNOWN) == {}


def test_a_suite_is_a_list_of_tasks_or_a_row_that_also_says_how_they_are_run(home: Path) -> None:
    put(
        Path(),
        """
        suites:
          one: 'mis:easy, mssbench'
          two:
            tasks: [mis, "figstep:full"]
            description: both
            task_settings: {mis: {prompts: own}, figstep.prompts: upstream}
            judges: {figstep: llamaguard}
            mean: [mis]
        """,
    )
    one, two = (row.suite for row in load_config(None, lambda: KNOWN)["suites"].values())
    assert (one.tasks, one.description) == (("mis:easy", "mssbench"), "of your own: mis:easy, mssbench")
    assert two == Suite(
        name="two",
        description="both",
        tasks=("mis", "figstep:full"),
        task_settings={"mis.prompts": "own", "figstep.prompts": "upstream"},
        judges={"figstep": "llamaguard"},
        mean=("mis",),
    )


def test_a_mistake_in_a_suite_says_where_it_stands(home: Path) -> None:
    put(Path(), "suites: {core: {task: [mis]}}")
    with pytest.raises(UnknownName) as caught:
        load_config(None, lambda: KNOWN)
    assert (caught.value.where, caught.value.remedy) == ("harness.yaml: suites.core", "did you mean 'tasks'?")
