"""Recipes: the paper's values are the paper's, everything else says whose it is, and a user's own come last."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from harness_mirage.methods import METHODS, Ingredient, Method
from harness_mirage.recipe import (
    FIELDS,
    SOURCES,
    ModelKind,
    Recipe,
    choose_row,
    find_recipe,
    list_rows,
    read_model_kind,
)

from harness import BadData, HarnessError, Training, UnknownName

TAKEN_OVER = "paper, other model"
METHOD = {method.name: method for method in METHODS}
#: model type, method -> learning rate, warmup and epochs as the paper gives them; None where it gives none
PAPER: dict[tuple[str, str], tuple[float, float | None, float]] = {
    ("qwen2_vl", "mirage"): (2e-6, 0.03, 3),
    ("qwen2_vl", "vlguard-r"): (1e-5, 0.03, 3),
    ("minicpmv", "textual-sft"): (2e-5, None, 2),
    ("minicpmv", "vlguard-r"): (5e-6, None, 3),
    ("minicpmv", "mirage"): (5e-6, None, 3),
    ("llava_onevision", "textual-sft"): (2e-5, None, 3),
    ("llava_onevision", "vlguard-r"): (5e-6, None, 3),
    ("llava_onevision", "mirage"): (5e-6, None, 3),
    ("internvl", "textual-sft"): (2e-5, None, 2),
    ("internvl", "vlguard-p"): (5e-6, None, 3),
    ("internvl", "vlguard-r"): (5e-6, None, 3),
    ("internvl", "mirage"): (5e-6, None, 2),
    ("internvl_chat", "mirage"): (5e-6, None, 2),
}


#: hidden size of the language model of the one model of a type that the paper trained
WIDTHS = {"qwen2_vl": 3584, "minicpmv": 3584, "llava_onevision": 3584, "internvl": 4096, "internvl_chat": 4096}


def made(
    method: str | Method = "mirage", kind: str = "qwen2_vl", model: str = "some/model", width: int = 0, **given: Any
) -> Recipe:
    asked = Training(model=model, data={}, out=Path("out"), **given)
    its = ModelKind(type=kind, width=width or WIDTHS.get(kind))
    return find_recipe(METHOD[method] if isinstance(method, str) else method, asked, its)


def written(folder: Path, text: str) -> str:
    file = folder / "own.yaml"
    file.write_text(text, encoding="utf-8")
    return str(file)


class TestTheRows:
    @pytest.mark.parametrize(("kind", "method"), PAPER, ids=lambda each: each)
    def test_give_the_papers_values_as_the_papers(self, kind: str, method: str) -> None:
        rate, warmup, epochs = PAPER[kind, method]
        recipe = made(method, kind)
        assert (recipe.learning_rate.value, recipe.learning_rate.source) == (rate, "paper")
        assert (recipe.epochs.value, recipe.epochs.source) == (epochs, "paper")
        if warmup is None:
            assert recipe.warmup.source != "paper"
        else:
            assert (recipe.warmup.value, recipe.warmup.source) == (warmup, "paper")

    @pytest.mark.parametrize("kind", ["qwen2_vl", "minicpmv", "llava_onevision", "internvl", "gemma3"])
    @pytest.mark.parametrize("method", METHOD)
    def test_never_call_the_papers_what_the_paper_does_not_say(self, kind: str, method: str) -> None:
        recipe = made(method, kind)
        its = {name for name in FIELDS if getattr(recipe, name).source == "paper"}
        assert its <= {"tuning", "learning_rate", "warmup", "epochs"}
        if (kind, method) not in PAPER:
            assert its == {"tuning"}

    @pytest.mark.parametrize(("kind", "method"), PAPER, ids=lambda each: each)
    def test_give_another_size_of_the_family_the_papers_values_as_those_of_another_model(
        self, kind: str, method: str
    ) -> None:
        recipe, whole = made(method, kind, width=1536), made(method, kind)
        assert (recipe.learning_rate.value, recipe.learning_rate.source) == (PAPER[kind, method][0], TAKEN_OVER)
        assert recipe.epochs.source == TAKEN_OVER
        assert recipe.paper == whole.paper != ""
        assert {name for name in FIELDS if getattr(recipe, name).source == "paper"} == {"tuning"}

    def test_that_are_asked_for_by_name_are_not_the_papers_for_a_model_of_another_family(self) -> None:
        assert made(kind="gemma3", width=3584, recipe="qwen2_vl").learning_rate.source == TAKEN_OVER

    @pytest.mark.parametrize(
        ("config", "width"),
        [
            ({"hidden_size": 3584}, 3584),
            ({"text_config": {"hidden_size": 896}, "hidden_size": 3584}, 896),
            ({"llm_config": {"hidden_size": 4096}, "vision_config": {"hidden_size": 1024}}, 4096),
            ({}, None),
        ],
    )
    def test_know_a_model_by_the_width_of_its_language_model(
        self, tmp_path: Path, config: dict[str, Any], width: int | None
    ) -> None:
        (tmp_path / "config.json").write_text(json.dumps({"model_type": "some", **config}), encoding="utf-8")
        assert read_model_kind(tmp_path) == ModelKind(type="some", width=width)

    @pytest.mark.parametrize("text", ["[]", "{}", "no JSON", '{"model_type": "x", "text_config": 3}'])
    def test_are_for_no_folder_that_does_not_say_what_it_is(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "config.json").write_text(text, encoding="utf-8")
        with pytest.raises(BadData, match="no model type"):
            read_model_kind(tmp_path)

    @pytest.mark.parametrize("row", list_rows())
    @pytest.mark.parametrize("method", METHOD)
    def test_are_whole_for_every_method(self, row: str, method: str) -> None:
        recipe = made(method, recipe=row)
        assert recipe.name == f"{row}/{method}"
        assert all(getattr(recipe, name).source in SOURCES for name in FIELDS)

    def test_are_chosen_by_the_models_name_then_by_its_type(self) -> None:
        assert choose_row("mini/base", "qwen2_vl") == "mini"
        assert choose_row("Qwen/Qwen2-VL-7B-Instruct", "qwen2_vl") == "qwen2_vl"
        assert choose_row("google/gemma-3-4b-it", "gemma3") == "other"

    @pytest.mark.parametrize(
        ("kind", "method", "of"),
        [
            *((kind, f"mirage-{name}", "mirage") for kind in WIDTHS for name in ("refusal", "text-only")),
            ("internvl", "vlguard-m", "vlguard-p"),
        ],
    )
    def test_give_a_method_that_the_papers_table_lacks_the_values_of_another_as_the_others(
        self, kind: str, method: str, of: str
    ) -> None:
        recipe, whole = made(method, kind), made(of, kind)
        small = made(method, kind, width=1536)
        assert (recipe.learning_rate.value, recipe.epochs.value) == (whole.learning_rate.value, whole.epochs.value)
        assert recipe.learning_rate.source == recipe.epochs.source == "paper, other method"
        assert recipe.method == of
        assert small.learning_rate.source == small.epochs.source == "paper, other model and method"

    def test_give_a_method_of_the_users_own_the_papers_values_as_those_of_another_whatever_it_is_called(self) -> None:
        own = Method(
            name="mirage", description="of a test", ingredients=(Ingredient(layout="sharegpt"),), recipe="mirage"
        )
        assert made(own).learning_rate.source == "paper, other method"

    def test_that_are_asked_for_by_name_are_those_of_another_method_for_another_method(self) -> None:
        assert made("vlguard-p", recipe="qwen2_vl/mirage").learning_rate.source == "paper, other method"

    @pytest.mark.parametrize("kind", ["qwen2_vl", "minicpmv"])
    def test_limit_the_pixels_of_each_model_that_the_paper_trained_by_llama_factory_as_that_does(
        self, kind: str
    ) -> None:
        pixels = made(kind=kind).pixels
        assert (pixels.value, pixels.source) == (768 * 768, "framework default")

    def test_give_a_strangers_method_values_that_are_not_the_papers(self) -> None:
        own = Method(name="strange", description="of a test", ingredients=(Ingredient(layout="sharegpt"),))
        assert made(own).learning_rate.source == "ours"

    def test_are_named_nearly_where_a_name_is_wrong(self) -> None:
        with pytest.raises(UnknownName, match="did you mean 'qwen2_vl'"):
            made(recipe="qwen2-vl")
        with pytest.raises(UnknownName, match="did you mean 'vlguard-r'"):
            made(recipe="qwen2_vl/vlguardr")


class TestARecipeOfTheUsersOwn:
    def test_changes_what_it_names_and_keeps_the_rest(self, tmp_path: Path) -> None:
        recipe = made(recipe=written(tmp_path, "learning_rate: 1e-4\nbatch: {value: 32, source: ours}\n"))
        assert (recipe.learning_rate.value, recipe.learning_rate.source) == (1e-4, "user")
        assert (recipe.batch.value, recipe.batch.source) == (32, "ours")
        assert recipe.warmup == made().warmup
        assert recipe.name == "own"

    def test_may_stand_on_another_row(self, tmp_path: Path) -> None:
        recipe = made(recipe=written(tmp_path, "base: internvl2_5/textual-sft\n"))
        assert recipe.learning_rate.value == 2e-5

    def test_names_the_parts_of_a_model_that_is_not_known(self, tmp_path: Path) -> None:
        recipe = made(recipe=written(tmp_path, "roles: {language: 'lm\\.', vision: 'eyes\\.'}\n"))
        assert dict(recipe.roles) == {"language": r"lm\.", "vision": r"eyes\."}

    def test_comes_before_single_values(self, tmp_path: Path) -> None:
        own = written(tmp_path, "epochs: 5\nmax_length: 100\n")
        recipe = made(recipe=own, overrides={"epochs": "1", "max_length": "none"})
        assert (recipe.epochs.value, recipe.epochs.source) == (1.0, "user")
        assert recipe.max_length.value is None

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("batch", "0"),
            ("batch", "2.5"),
            ("learning_rate", "fast"),
            ("learning_rate", "nan"),
            ("learning_rate", "-1"),
            ("warmup", "100"),
            ("tuning", "half"),
            ("schedule", "spiral"),
            ("checkpointing", "perhaps"),
            ("max_length", "0"),
        ],
    )
    def test_is_refused_with_what_a_value_may_be(self, name: str, text: str) -> None:
        with pytest.raises(BadData, match=f"{name}: {text} is not"):
            made(overrides={name: text})

    @pytest.mark.parametrize(
        "text", ["- 1\n", "learning_rat: 1\n", "roles: 3\n", "batch: {value: 2, source: hearsay}\n"]
    )
    def test_is_refused_where_it_is_no_recipe(self, tmp_path: Path, text: str) -> None:
        with pytest.raises(HarnessError) as raised:
            made(recipe=written(tmp_path, text))
        assert "own.yaml" in str(raised.value)

    @pytest.mark.parametrize(
        ("text", "where", "said"),
        [
            ("base: nope/mirage\n", "own.yaml, base", "there is no row 'nope' of recipes"),
            ("base: qwen2_vl/mirrage\n", "own.yaml, base", "did you mean 'mirage'?"),
            ("roles: 3\n", "own.yaml, roles", "a mapping of role to pattern is wanted"),
            ("roles: {languag: x}\n", "own.yaml, roles", "did you mean 'language'?"),
            ("roles: {language: '('}\n", "own.yaml, roles", "language: ( is not a pattern"),
            ("roles: {language: 3}\n", "own.yaml, roles", "roles: {language: '"),
            ("batch: {valu: 32}\n", "own.yaml", "batch: there is no key 'valu'"),
            ("batch: {valu: 32}\n", "own.yaml", "did you mean 'value'?"),
            ("batch: {source: ours}\n", "own.yaml", "batch: no value is given"),
        ],
    )
    def test_is_refused_by_its_file_and_key_with_a_remedy(
        self, tmp_path: Path, text: str, where: str, said: str
    ) -> None:
        with pytest.raises(HarnessError) as raised:
            made(recipe=written(tmp_path, text))
        assert raised.value.where.endswith(where)
        assert said in str(raised.value)
        assert raised.value.remedy

    def test_that_is_not_there_is_told_with_what_can_be_named(self) -> None:
        with pytest.raises(HarnessError) as raised:
            made(recipe="none.yaml")
        assert str(raised.value).startswith("there is no such file (--recipe none.yaml)\n  --recipe takes a row (")
