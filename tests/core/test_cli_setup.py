"""`harness init`, `harness completion`, and what `harness doctor` says of extras, plugins and servers."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import click
import pytest
import yaml
from click.shell_completion import get_completion_class
from click.testing import CliRunner, Result

from harness.cli import cli, completion
from harness.cli.flags import list_config_keys, list_config_options
from harness.cli.init import EXAMPLES, ROWS, build_config
from harness.errors import HarnessError
from harness.runs.config import load_config

COMMENTED = re.compile(r"^#(\w+:)", re.MULTILINE)


def said(*arguments: str, **environ: str) -> Result:
    return CliRunner().invoke(cli, arguments, env=environ, catch_exceptions=False)


def test_init_names_every_key_of_a_config_once() -> None:
    keys = COMMENTED.findall(build_config({}))
    assert len(keys) == len(set(keys))
    named = {key.rstrip(":") for key in keys}
    assert named <= list_config_keys()
    flags = list_config_options()
    assert {flags[key].name for key in named & set(flags)} == {option.name for option in flags.values()}
    assert set(ROWS) <= named


def test_every_example_of_init_is_a_value_that_its_flag_takes(tmp_path: Path) -> None:
    file = tmp_path / "all.yaml"
    file.write_text(COMMENTED.sub(r"\1", build_config({})), encoding="utf-8")
    values = load_config(file, list_config_keys)
    ctx = click.Context(cli)
    for key in (key for keys in EXAMPLES.values() for key in keys):
        option, value = list_config_options()[key], values[key]
        if not isinstance(value, dict):
            option.type_cast_value(ctx, value if isinstance(value, list) or not option.multiple else [value])


def test_init_sets_what_a_flag_gives_and_leaves_the_rest_as_comments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert said("init", "--model", "mini/base", "--tasks", "mis:mini").output.startswith("wrote harness.yaml")
    text = (tmp_path / "harness.yaml").read_text(encoding="utf-8")
    assert yaml.safe_load(text) == {"model": ["mini/base"], "tasks": ["mis:mini"]}
    assert "mis:mini" in said("run", "--dry-run").output


def test_init_never_overwrites_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("harness.yaml").write_text("tasks: [mis]\n", encoding="utf-8")
    with pytest.raises(HarnessError, match="the file already exists"):
        said("init")
    assert Path("harness.yaml").read_text(encoding="utf-8") == "tasks: [mis]\n"


def completed(shell: str, *words: str) -> list[str]:
    completion.register()
    made = get_completion_class(shell)
    assert made is not None
    return [
        item.value for item in made(cli, {}, "harness", completion.VARIABLE).get_completions([*words[:-1]], words[-1])
    ]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("compl",), ["completion"]),
        (("run", "--attac"), ["--attack"]),
        (("run", "--model", "min"), ["mini/"]),
        (("run", "--strategy", "self"), ["self-reminder"]),
        (("run", "--attack", "typo"), ["typographic"]),
        (("run", "--tasks", "mis,mssb"), ["mis,mssbench"]),
        (("report", "--format", "lat"), ["latex"]),
        (("judge", "--judge", "strong"), ["strongreject"]),
    ],
)
def test_a_shell_completes_commands_flags_and_what_plugins_offer(
    shell: str, words: Sequence[str], found: list[str]
) -> None:
    assert completed(shell, *words) == found


def test_splits_are_completed_after_the_colon_of_a_task() -> None:
    assert completed("fish", "run", "--tasks", "mis:mini") == ["mis:mini", "mis:mini-benign"]
    assert completed("bash", "run", "--tasks", "mis", ":", "mini") == ["mini", "mini-benign"]
    assert "easy" in completed("bash", "run", "--tasks", "mis", ":")
    assert completed("bash", "run", "--tasks", "no-such", ":", "m") == []


def test_files_are_completed_where_a_command_takes_runs() -> None:
    completion.register()
    made = get_completion_class("bash")
    assert made is not None
    (item,) = made(cli, {}, "harness", completion.VARIABLE).get_completions(["report"], "ru")
    assert (item.type, item.value) == ("file", "ru")


def test_the_script_completes_in_a_real_bash() -> None:
    folder = Path(sys.executable).parent
    script = (
        'eval "$(harness completion bash 2>/dev/null)"; compopt() { :; }; COMP_WORDS=(harness run --tasks mss); '
        'COMP_CWORD=3; _harness_completion harness; echo "${COMPREPLY[@]}"'
    )
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "--norc", "-c", script], env={"PATH": path}, capture_output=True, text=True, check=True
    )
    assert done.stdout == "mssbench\n"


def test_what_we_change_in_the_scripts_of_click_is_in_them() -> None:
    assert "compopt -o nospace" in said("completion", "bash").stdout
    assert 'string split --max 1 ","' in said("completion", "fish").stdout


def in_a_terminal(*words: str, columns: int) -> str:
    """What `harness WORDS` writes to a terminal of that width."""
    import fcntl
    import pty
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environ = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES")}
    with subprocess.Popen(
        [sys.executable, "-m", "harness", *words], stdin=theirs, stdout=theirs, stderr=theirs, env=environ
    ) as process:
        os.close(theirs)
        written = bytearray()
        with contextlib.suppress(OSError):  # how a closed terminal ends on Linux
            while part := os.read(ours, 65536):
                written += part
        assert process.wait() == 0
    os.close(ours)
    return written.decode().replace("\r\n", "\n")


def test_the_line_for_the_shells_file_is_said_on_a_terminal_alone() -> None:
    assert "put this line into" in in_a_terminal("completion", "bash", columns=100)
    assert said("completion", "bash").stderr == ""


def test_a_list_fits_a_terminal_and_loses_no_word() -> None:
    shown = in_a_terminal("tasks", "list", columns=100)
    piped = said("tasks", "list").stdout
    assert max(map(len, shown.splitlines())) <= 100 < max(map(len, piped.splitlines()))
    assert sorted(shown.split()) == sorted(piped.split())


def rows(output: str) -> dict[str, list[str]]:
    """What -> state and note, of the doctor's table."""
    cells = (re.split(r"  +", line.rstrip(), maxsplit=2) for line in output.splitlines()[1:])
    return {what: rest for what, *rest in cells}


def test_doctor_names_for_each_extra_the_one_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "importlib.metadata.requires",
        lambda _: [
            "click>=8",
            'no-such-package>=1; extra == "one"',
            'click>=8; extra == "one"',
            'vlm-safety-harness[one]; extra == "two"',
            'pillow>=1; extra == "three"',
            'no-such-package; extra == "dev"',
        ],
    )
    found = rows(said("doctor").output)
    assert found["[one]"] == ["missing", "no-such-package: pip install 'vlm-safety-harness[one]'"]
    assert found["[two]"] == ["missing", "no-such-package: pip install 'vlm-safety-harness[two]'"]
    assert found["[three]"] == ["complete"]
    assert "[dev]" not in found


def test_doctor_shows_the_seconds_of_each_plugin_when_asked() -> None:
    found = rows(said("doctor", "--times").output)
    assert re.fullmatch(r"\d+\.\d{3} s", found["plugin mini"][0])
    assert "plugin mini" not in rows(said("doctor").output)


def test_doctor_says_which_servers_answer_and_sends_them_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[bytes] = []

    async def look() -> dict[str, list[str]]:
        ended = asyncio.Event()

        async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            heard.append(await reader.read())
            writer.close()
            await writer.wait_closed()
            ended.set()

        server = await asyncio.start_server(listen, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        settings = f"{{base_url: 'http://127.0.0.1:{port}/v1'}}"
        row = f"schemes:\n  mine: {{provider: openai, settings: {settings}}}\n"
        (tmp_path / "harness.yaml").write_text(row, encoding="utf-8")
        async with server:
            result = await asyncio.to_thread(said, "doctor", "--servers", "--plugins-allow", "openai")
            await ended.wait()
        return rows(result.output)

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    found = asyncio.run(look())
    assert found["server of mine"][0] == "answers"
    assert found["server of openai"] == ["not tried", "there is no key for api.openai.com"]
    assert heard == [b""]
