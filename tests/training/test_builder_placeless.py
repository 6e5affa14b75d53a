"""A set that is passed on names the models that made it, and not where they lay."""

from pathlib import Path

import pytest
from harness_builder.output.manifest import portable_plan
from harness_builder.plan import ModelChoice, Photos

from tests.training.built import plan


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "my-model"
    made.mkdir()
    return made


def test_a_model_that_is_a_folder_is_called_by_its_name_wherever_it_lies(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in (str(folder), f"{folder.parent}/./my-model/", "my-model"):
        monkeypatch.chdir(folder.parent)
        wanted = ModelChoice(ref=f"hf/{place}", settings={"dtype": "float32"})
        told = portable_plan(plan(models={"writer": wanted}, painter=ModelChoice(ref=f"diffusers/{place}")))
        assert told.models["writer"] == ModelChoice(ref="hf/my-model", settings={"dtype": "float32"})
        assert told.painter.ref == "diffusers/my-model"


def test_any_other_model_is_called_as_its_provider_calls_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent.parent)
    remote = ModelChoice(ref=f"openai/{folder.parent.name}/my-model")
    asked = plan(models={"writer": remote, "viewer": ModelChoice(ref="hf/someone/my-model")})
    assert portable_plan(asked) == asked


def test_weights_that_are_a_file_are_called_by_its_name(folder: Path) -> None:
    weights = folder / "clip.pt"
    weights.touch()
    photos = Photos(name="photos", path=folder, model=f"ViT-B-32:{weights}")
    told = portable_plan(plan(photos=photos)).photos
    assert told is not None
    assert told.model == "ViT-B-32:clip.pt"
    tagged = plan(photos=Photos(name="photos", path=folder, model="ViT-B-32:some_tag"))
    assert portable_plan(tagged) == tagged
