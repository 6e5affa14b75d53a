"""An optional package that is missing is an error that names the extra to install."""

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness.errors import HarnessError
from harness.extras import check_modules, install_command, require, require_module

ROOT = Path(__file__).parents[2]


def test_a_missing_package_names_who_needs_it_the_extra_and_the_command() -> None:
    missing = r"hf/ needs the extra `hf`: No module named 'no_such_package'"
    with pytest.raises(HarnessError, match=missing) as caught, require("hf", by="hf/"):
        importlib.import_module("no_such_package")
    assert caught.value.remedy == "pip install 'vlm-safety-harness[hf]'"


def test_a_module_of_several_extras_names_all_of_them() -> None:
    with pytest.raises(HarnessError, match="training needs the extras `hf` and `train`: ") as caught:
        require_module("no_such_package", "hf", "train", by="training", where="here")
    assert (caught.value.where, caught.value.remedy) == ("here", install_command("hf", "train"))
    assert install_command("hf", "train") == "pip install 'vlm-safety-harness[hf,train]'"


def test_a_package_that_is_there_is_imported_and_other_errors_pass() -> None:
    assert require_module("json", "hf", by="hf/").loads("1") == 1
    with pytest.raises(ZeroDivisionError), require("hf", by="hf/"):
        print(1 / 0)


def test_a_check_imports_nothing_and_names_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    check_modules("antigravity", "json", extras=("hf",), by="hf/")
    assert "antigravity" not in sys.modules
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(HarnessError, match="the page needs the extra `serve`: No module named 'uvicorn'"):
        check_modules("json", "uvicorn", extras=("serve",), by="the page")


#: optional packages: what imports them, and their extra
PACKAGES = {
    "serve": ("starlette", "uvicorn"),
    "hf": ("torch", "torchvision", "transformers", "accelerate", "peft"),
    "train": ("trl", "datasets", "tensorboard"),
    "build": ("rensa", "imagehash", "diffusers", "open_clip", "cv2"),
    "hub": ("huggingface_hub", "pyarrow"),
    "gemini": ("google.genai",),
    "vllm": ("vllm",),
    "lm-eval": ("lm_eval",),
    "inspect": ("inspect_ai",),
    "excel": ("xlsxwriter",),
    "figures": ("vl_convert",),
    "ray": ("ray",),
}

SEEDS = "id,text\n1,A red star lies near a blue ring\n"
BUILD = """name: shapes
sources:
  - {name: ideas, path: seeds.csv, licence: cc0-1.0}
models: {writer: mini/writer}
painter: mini/painter
sort: {review: none}
"""


def list_files(folder: Path) -> list[str]:
    """Files below a folder, without locks."""
    return sorted(str(path) for path in folder.rglob("[!.]*") if path.is_file())


def run_without(extra: str, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A command where the packages of an extra are not installed."""
    script = (
        f"import sys; sys.modules.update(dict.fromkeys({PACKAGES[extra]!r}))\n"
        "sys.argv[0] = 'harness'\n"
        "from harness.__main__ import main\n"
        "sys.exit(main())"
    )
    command = [sys.executable, "-c", script, *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize(
    ("extra", "line"),
    [
        ("hf", "run --model mini/base --tasks mis:mini --output runs/new"),
        ("hf", "run --model hf/nothing --tasks mis:mini --output runs/new"),
        ("gemini", "run --model gemini/any --tasks mis:mini --output runs/new"),
        ("vllm", "run --model vllm/any --tasks mis:mini --output runs/new"),
        ("lm-eval", "run --model lm-eval/hf --tasks mis:mini --output runs/new"),
        ("serve", "serve --model mini/base"),
        ("serve", "view runs --no-browser"),
        ("build", "build mis --config build.yaml --out runs/new"),
        ("train", "train mirage --model mini/base --data nothing --out runs/new"),
        ("hub", "data fetch mis --data runs/new"),
    ],
    ids=lambda words: words.partition(" --tasks")[0].replace("--model ", ""),
)
def test_a_command_names_the_extra_it_lacks_before_it_does_anything(extra: str, line: str, tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "seeds.csv").write_text(SEEDS, "utf-8")
    (tmp_path / "build.yaml").write_text(BUILD, "utf-8")
    (tmp_path / "nothing").mkdir()
    done = run_without(extra, tmp_path, *line.split())
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert "pip install 'vlm-safety-harness[" in done.stderr
    assert f"`{extra}`" in done.stderr
    assert list_files(tmp_path / "runs") == []


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run in `runs/base`."""
    folder = tmp_path_factory.mktemp("stored")
    words = ["run", "--model", "mini/base", "--tasks", "mis:mini", "--limit", "2", "--output", "runs/base"]
    subprocess.run([sys.executable, "-m", "harness", *words], cwd=folder, capture_output=True, timeout=200, check=True)
    return folder


@pytest.mark.parametrize(
    ("extra", "line"),
    [
        ("excel", "report runs/base --format excel --output runs/new.xlsx"),
        ("inspect", "report runs/base --format inspect --output runs/new"),
        ("figures", "report runs/base --figures runs/figures --output runs/new.md"),
        ("serve", "label runs/base --as ann --no-browser"),
        ("serve", "view runs/base --no-browser"),
    ],
    ids=lambda words: words.partition(" runs")[0] + words.partition("--")[2].partition(" ")[0],
)
def test_a_command_on_a_stored_run_names_the_extra_and_writes_nothing(extra: str, line: str, stored: Path) -> None:
    before = list_files(stored)
    done = run_without(extra, stored, *line.split())
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert f"`{extra}`" in done.stderr
    assert f"pip install 'vlm-safety-harness[{extra}]'" in done.stderr
    assert list_files(stored) == before


NEEDS = {
    "hf": r"\b(mini/(base|mirage)|hf/\w|half/)",
    "train": r"^\$ harness train ",
    "build": r"^\$ harness build mis ",
    "serve": r"^\$ harness (serve|view) (?!.*--export)",
    "figures": r"^\$ .*--figures",
    "excel": r"^\$ .*--format excel",
}
BRINGS = {"build": {"hf"}}  #: an extra and the others that come with it


@pytest.mark.parametrize("page", sorted((ROOT / "docs/tutorials").glob("*.md")), ids=lambda page: page.stem)
def test_a_tutorial_names_the_extras_of_its_commands_before_the_first_of_them(page: Path) -> None:
    text = page.read_text("utf-8")
    head, _, body = text.partition("```console")
    installed = {each for found in re.findall(r"vlm-safety-harness\[([\w,-]+)\]", head) for each in found.split(",")}
    installed |= {each for extra in installed for each in BRINGS.get(extra, ())}
    needed = {extra for extra, pattern in NEEDS.items() if re.search(pattern, body, re.MULTILINE)}
    assert "pip install" in head
    assert needed <= installed
