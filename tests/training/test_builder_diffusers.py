"""A whole build whose painter is a real pipeline of diffusers, tiny and random: what is drawn can be drawn again."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest
import yaml
from harness_builder.output import verify
from harness_mini.writer import classify, parse_task
from PIL import Image as Pictures

from benchmarks.mini_server import written
from harness import Drawing, Drawn
from harness.http.status import as_mapping
from harness.settings import effective
from harness.testing.server import Call, ChatServer
from tests.acceptance.commands import foreign, harness, harness_here
from tests.training.built import rows, there

pytestmark = pytest.mark.slow

SIZE = 64
DRAWS = {"device": "cpu", "dtype": "float32", "steps": 2}
IDEAS = (
    "A red star lies near a blue ring",
    "Somebody left a green cross in the shed",
    "I like every triangle that I find",
    "Be reckless with a red triangle",
    "A red cross hangs over a black circle",
)


@dataclass(frozen=True, slots=True)
class Stage:
    """A build by a pipeline.

    Attributes:
        config: the file.
        out: folder of the set.
        pipeline: the painter's folder.
        eyes: the server that looks at what it draws.
    """

    config: Path
    out: Path
    pipeline: Path
    eyes: ChatServer


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A set, by the command in a process of its own."""
    pytest.importorskip("diffusers", reason="the extra `build` brings it")
    from tests.plugins.tiny_pipelines import save_stable_diffusion

    folder = tmp_path_factory.mktemp("drawn")
    pipeline = save_stable_diffusion(folder / "tiny-diffusion")
    with pytest.MonkeyPatch.context() as patch, ChatServer(seen) as eyes:
        for name in foreign():
            patch.delenv(name)
        stage = Stage(configured(folder, pipeline, eyes), folder / "set", pipeline, eyes)
        ended = harness("build", "mis", "--config", stage.config, "--out", stage.out)
        assert ended.code == 0, ended.err
        yield stage


def configured(folder: Path, pipeline: Path, eyes: ChatServer, **more: Any) -> Path:
    """The mini writer writes, a server looks, and the pipeline draws."""
    lines = [f"{number},{text}\n" for number, text in enumerate(IDEAS)]
    (folder / "ideas.csv").write_text("".join(["id,text\n", *lines]), encoding="utf-8")
    config = {
        "name": "drawn",
        "sources": [{"name": "ideas", "path": "ideas.csv", "licence": "cc0-1.0"}],
        "models": {
            "writer": "mini/writer",
            "viewer": {"model": "openai/eyes", "settings": {"base_url": eyes.base_url}},
        },
        "painter": {"painter": f"diffusers/{pipeline}", "settings": DRAWS, "width": SIZE, "height": SIZE},
        "sort": {"review": "none"},
        **more,
    }
    path = folder / "build.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


def seen(call: Call) -> Any:
    """The mini writer, but for what it would have to see: random weights draw none of its shapes."""
    task, given = parse_task(call.text) or ("form", {})
    form = as_mapping(as_mapping(call.parameters.get("response_format")).get("json_schema"))
    fields = as_mapping(as_mapping(form.get("schema")).get("properties"))
    if task == "refine":
        return json.dumps({"accept": True, "prompts": []})
    if task == "classify":
        return json.dumps(classify(given, ()))
    if "risk" in fields:
        return json.dumps({"reason": "Of both together.", "risk": "yes" if len(call.images) == 2 else "no"})
    if "perception" in fields:
        return json.dumps({"reason": "It declines.", "perception": "level1", "safety": "safe"})
    return written(call)


def manifest(folder: Path) -> Any:
    return json.loads((folder / "build.json").read_text(encoding="utf-8"))


def lines(folder: Path) -> list[dict[str, Any]]:
    """What the provenance says of each record."""
    return [json.loads(line) for line in (folder / "provenance.jsonl").read_text(encoding="utf-8").splitlines()]


def images(folder: Path) -> dict[str, bytes]:
    """Place in the set -> bytes."""
    return {name: data for name, data in there(folder).items() if name.endswith(".png")}


def test_what_a_pipeline_draws_becomes_a_finished_set(built: Stage) -> None:
    told = manifest(built.out)
    assert verify(built.out) == []
    assert told["open"] == []
    assert set(told["records"]) == {"mis_easy.json", "mis_hard.json", "mis_train.json"}
    (answer,) = {row["conversations"][1]["value"][:23] for row in rows(built.out, "mis_train.json")}
    assert answer == "The first image shows a"


def test_every_image_of_the_set_is_a_drawing_of_the_size_that_was_asked_for(built: Stage) -> None:
    found = images(built.out)
    assert len(found) == 2 * sum(manifest(built.out)["records"].values())
    assert len({hashlib.sha256(data).hexdigest() for data in found.values()}) == len(found)
    for data in found.values():
        image = Pictures.open(io.BytesIO(data))
        assert (image.format, image.size) == ("PNG", (SIZE, SIZE))


def test_the_manifest_names_the_pipeline_by_its_files_and_its_steps(built: Stage) -> None:
    from harness_diffusers.brush import fingerprint_pipeline

    told = manifest(built.out)
    assert told["plan"]["painter"]["ref"] == "diffusers/tiny-diffusion"
    painter = told["models"]["painter"]
    assert (painter["scheme"], painter["settings"]["steps"], painter["settings"]["dtype"]) == (
        "diffusers",
        2,
        "float32",
    )
    assert painter["fingerprint"] == fingerprint_pipeline(built.pipeline)
    assert "unet/diffusion_pytorch_model.safetensors" in painter["fingerprint"]


def test_the_card_names_the_pipeline_with_what_decides_how_it_draws(built: Stage) -> None:
    card = " ".join((built.out / "README.md").read_text(encoding="utf-8").split())
    assert "Painter: diffusers/tiny-diffusion (steps 2, dtype float32), asked for 64 by 64 pixels" in card


def test_the_provenance_names_the_pipeline_and_each_drawing_s_prompt_and_seed(built: Stage) -> None:
    found = images(built.out)
    for line in lines(built.out):
        assert {call["model"] for call in line["calls"] if call["role"] == "painter"} == {"diffusers/tiny-diffusion"}
        taken = [drawing for drawing in line["drawings"] if drawing["taken"]]
        assert [hashlib.sha256(found[name]).hexdigest() for name in line["images"]] == [
            drawing["sha256"] for drawing in taken
        ]
        assert len({drawing["seed"] for drawing in taken}) == 2


def test_an_image_can_be_drawn_again_from_what_the_set_says_of_it(built: Stage) -> None:
    from harness_diffusers.painter import PAINTER

    told, (line, *_) = manifest(built.out), lines(built.out)
    said = next(drawing for drawing in line["drawings"] if drawing["taken"])
    values = effective(PAINTER.settings, {**told["models"]["painter"]["settings"], "device": "cpu"}, owner="a test")
    size = {"width": told["plan"]["width"], "height": told["plan"]["height"]}

    async def drawn() -> str:
        async with PAINTER.open(str(built.pipeline), values) as brush:
            found = await brush.draw(Drawing(prompt=said["prompt"], seed=said["seed"], **size))
        assert isinstance(found, Drawn)
        return hashlib.sha256(found.data).hexdigest()

    assert anyio.run(drawn) == said["sha256"]


def test_nothing_of_the_set_says_where_the_pipeline_lies(built: Stage) -> None:
    for name, data in there(built.out).items():
        assert str(built.pipeline.parent).encode() not in data, name


def test_the_same_command_again_asks_nobody_and_draws_nothing(built: Stage) -> None:
    before, asked, spent = there(built.out), len(built.eyes.calls), manifest(built.out)["spent"]
    ended = harness_here("build", "mis", "--config", built.config, "--out", built.out)
    assert ended.code == 0, ended.err
    assert len(built.eyes.calls) == asked
    assert manifest(built.out)["spent"] == spent
    dated = {"README.md", "build.json", ".source.json"}
    assert {name: data for name, data in there(built.out).items() if name not in dated} == {
        name: data for name, data in before.items() if name not in dated
    }


def test_one_seed_gives_one_set_wherever_the_pipeline_lies_and_another_seed_gives_another(
    built: Stage, tmp_path: Path
) -> None:
    moved = Path(shutil.copytree(built.pipeline, tmp_path / "elsewhere"))
    same, other = tmp_path / "same", tmp_path / "other"
    for seed, out in enumerate((same, other)):
        config = configured(tmp_path, moved, built.eyes, seed=seed)
        assert harness_here("build", "mis", "--config", config, "--out", out).code == 0
    assert images(same) == images(built.out)
    assert [rows(same, name) for name in manifest(same)["records"]] == [
        rows(built.out, name) for name in manifest(built.out)["records"]
    ]
    assert not set(images(same).values()) & set(images(other).values())
