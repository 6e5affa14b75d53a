"""Every setting and every option is filed: does another value make another result, or only another way to it?

Resume is right because of this table. A setting that is missing here fails a test that names the line to edit; filing
it is a decision, not a formality: what is filed as transport is reused under another value.
"""

from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Literal

import pytest

from harness.contracts import ModelInfo
from harness.evaluation.options import Options
from harness.limits import Policy
from harness.models import ModelSpec, resolve
from harness.plugins import Host, use
from harness.replicas.placement import SETTINGS as PLACED
from harness.runs.run import default_folder
from harness.settings import effective
from harness.testing.fakes import FakeModel
from harness.types import Setting

#: identity: another value is another model, task or judge. transport: how it is reached. file: a path whose content is
#: part of the identity, so that the place is not.
Filed = Literal["identity", "transport", "file"]
OURS = "vlm-safety-harness"

SETTINGS: dict[str, dict[str, Filed]] = {
    "models anthropic": {
        "base_url": "identity",
        "api_version": "identity",
        "resize": "identity",
        "max_image_mb": "identity",
        "max_image_side": "identity",
        "thinking": "identity",
        "thinking_budget": "identity",
        "effort": "identity",
        "think_tags": "identity",
        "extra": "identity",
        "api_key_env": "transport",
        "max_reply_mib": "transport",
        "timeout": "transport",
        "max_images": "transport",
    },
    "models gemini": {
        "safety": "identity",
        "vertex_project": "identity",
        "vertex_location": "identity",
        "base_url": "identity",
        "api_version": "identity",
        "thinking_budget": "identity",
        "thinking_level": "identity",
        "include_thoughts": "identity",
        "media_resolution": "identity",
        "resize": "identity",
        "max_image_mb": "identity",
        "max_request_mb": "identity",
        "max_image_side": "identity",
        "extra": "identity",
        "api_key_env": "transport",
        "max_reply_mib": "transport",
        "timeout": "transport",
        "max_images": "transport",
    },
    "models hf": {
        "device": "transport",
        "sharding": "transport",
        "max_images": "transport",
        "threads": "transport",
        "batch_size": "transport",
        "batch_wait": "transport",
        "dtype": "identity",
        "load_in": "identity",
        "attn_implementation": "identity",
        "revision": "identity",
        "adapter": "identity",
        "min_pixels": "identity",
        "max_pixels": "identity",
        "max_patches": "identity",
        "longest_edge": "identity",
        "profile": "identity",
        "prompt_format": "identity",
        "thinking": "identity",
        "control_tokens": "identity",
        "trust_remote_code": "identity",
    },
    "models lm-eval": {
        "model_args": "identity",
        "device": "transport",
        "batch_size": "transport",
        "batch_wait": "transport",
    },
    "models mini": {"adapter": "identity"},
    "models openai": {
        "base_url": "identity",
        "azure_endpoint": "identity",
        "api_version": "identity",
        "detail": "identity",
        "resize": "identity",
        "max_image_mb": "identity",
        "max_image_side": "identity",
        "image_types": "identity",
        "max_tokens_field": "identity",
        "seed_field": "identity",
        "reasoning_effort": "identity",
        "think_tags": "identity",
        "extra": "identity",
        "api_key_env": "transport",
        "organization": "transport",
        "project": "transport",
        "max_reply_mib": "transport",
        "timeout": "transport",
        "max_images": "transport",
    },
    "models vllm": {
        "tensor_parallel": "transport",
        "pipeline_parallel": "transport",
        "data_parallel": "transport",
        "gpu_memory_utilization": "transport",
        "max_num_seqs": "transport",
        "enforce_eager": "transport",
        "images_per_prompt": "transport",
        "max_model_len": "identity",
        "dtype": "identity",
        "quantization": "identity",
        "revision": "identity",
        "lora": "identity",
        "min_pixels": "identity",
        "max_pixels": "identity",
        "profile": "identity",
        "prompt_format": "identity",
        "mm_processor_kwargs": "identity",
        "thinking": "identity",
        "control_tokens": "identity",
        "trust_remote_code": "identity",
        "engine": "identity",
    },
    "models vlmeval": {"python": "transport", "model_path": "identity", "args": "identity", "restarts": "transport"},
    "tasks figstep": {"prompts": "identity"},
    "tasks harmbench-mm": {},
    "tasks jailbreakv": {},
    "tasks mis": {},
    "tasks strongreject": {},
    "tasks siuo": {},
    "tasks mossbench": {},
    "tasks vlguard": {},
    "tasks vlsbench": {},
    "tasks xstest": {},
    "tasks mm-safetybench": {},
    "tasks mssbench": {"setting": "identity", "queries": "identity", "prompts": "identity"},
    "tasks spa-vl": {},
    "tasks lm-eval": {"num_fewshot": "identity", "raw": "identity"},
    "tasks hallusionbench": {"any_revision": "transport", "fetch": "transport"},
    "tasks mmmu": {"any_revision": "transport", "fetch": "transport"},
    "tasks mmstar": {"any_revision": "transport", "fetch": "transport"},
    "tasks mmt-bench": {"any_revision": "transport", "fetch": "transport"},
    "tasks muirbench": {"any_revision": "transport", "fetch": "transport"},
    "tasks pope": {"any_revision": "transport", "fetch": "transport"},
    "tasks vlmeval": {"any_revision": "transport", "fetch": "transport"},
    "tasks qbench": {},
    "judges choice": {},
    "judges harmbench": {"prompt": "file", "images": "identity"},
    "judges jailbreakv": {"prompt": "file", "user_text": "identity"},
    "strategies cot": {"prompt": "identity"},
    "strategies ecso": {},
    "strategies system-defence": {"text": "identity", "file": "identity"},
    "judges keyword": {"words": "file"},
    "judges llamaguard": {
        "user_text": "identity",
        "response_only": "identity",
        "images": "identity",
        "categories": "file",
        "format": "identity",
        "threshold": "identity",
    },
    "judges mini": {},
    "judges mis": {"prompt": "file", "prompts": "identity"},
    "judges mmsafety": {"prompt": "file", "user_text": "identity"},
    "judges mssbench": {"prompt": "file", "prompts": "identity"},
    "judges mssbench-yesno": {},
    "judges strongreject": {"prompt": "file"},
    "judges pairwise": {"prompt": "file", "reference": "file", "images": "identity"},
    "judges siuo": {"prompt": "file"},
    "judges mossbench": {"prompt": "file"},
    "judges vlguard": {"prompts": "identity"},
    "judges spa-vl": {"prompt": "file"},
    "judges vlsbench": {"prompt": "file"},
    "judges xstest": {"prompt": "file", "partial": "identity"},
    "judges lm-eval": {},
    "judges vlmeval": {},
    "judges yesno": {},
}

#: identity: another folder, another key or another judge's id. subset: which records are asked. transport: all else.
OPTIONS: dict[str, Literal["identity", "subset", "transport"]] = {
    "model": "identity",
    "tasks": "subset",
    "judges": "identity",
    "judge_settings": "identity",
    "task_settings": "identity",
    "generation": "identity",
    "system": "identity",
    "limit": "subset",
    "epochs": "subset",
    "data": "transport",
    "output": "transport",
    "fresh": "transport",
    "retry": "transport",
    "probe": "transport",
    "phases": "transport",
    "devices": "transport",
    "min_coverage": "transport",
    "policy": "transport",
    "command": "transport",
}
POLICY: dict[str, Literal["identity", "subset", "transport"]] = {
    "start": "transport",
    "cap": "transport",
    "tries": "transport",
    "throttled_tries": "transport",
    "base": "transport",
    "longest": "transport",
    "deadline": "transport",
    "breaker": "transport",
    "patience": "transport",
}
HERE = "tests/core/test_identity_classified.py"
HOST = Host.load(tell=lambda _: None)


def declared() -> dict[str, tuple[Setting, ...]]:
    """The settings of everything that this distribution offers; a preset's are filed with those it was made of."""
    return {
        f"{kind} {getattr(item, 'name', None) or item.scheme}": item.settings
        for kind in ("models", "tasks", "judges", "strategies")
        for item, plugin in HOST.offers(kind)
        if HOST.source(plugin).distribution == OURS and not getattr(item, "base", "")
    }


@pytest.mark.parametrize("owner", sorted({*declared(), *SETTINGS}))
def test_every_setting_is_filed_as_what_it_declares(owner: str) -> None:
    settings, filed = declared().get(owner), SETTINGS.get(owner)
    assert settings is not None, f"{HERE}: nobody offers {owner!r} any more: take it out of SETTINGS"
    assert filed is not None, f'{HERE}: file the settings of a new owner in SETTINGS: "{owner}": {{…}}'
    for setting in settings:
        assert setting.name in filed, f"{HERE}: file {setting.name!r} under SETTINGS[{owner!r}]"
        expected = filed[setting.name] == "identity"
        assert setting.identity == expected, f"{owner}: {setting.name} says identity={setting.identity}"
    gone = set(filed) - {setting.name for setting in settings}
    assert gone == set(), f"{HERE}: {owner} has no {gone} any more: take it out of SETTINGS"


def test_where_the_replicas_of_a_model_run_makes_no_other_model() -> None:
    assert [setting.name for setting in PLACED if setting.identity] == []
    assert identity_of("mini/base", {"replicas": 2}) == identity_of("mini/base", {})


@pytest.mark.parametrize(("kind", "filed", "name"), [(Options, OPTIONS, "OPTIONS"), (Policy, POLICY, "POLICY")])
def test_every_option_is_filed(kind: type[Any], filed: dict[str, str], name: str) -> None:
    there = {field.name for field in fields(kind)}
    assert there - set(filed) == set(), f"{HERE}: file the new field of {kind.__name__} in {name}"
    assert set(filed) - there == set(), f"{HERE}: {kind.__name__} has no such field any more"


#: what a file setting takes, where it is neither a template nor a list of phrases
TEXTS = {
    ("judges harmbench", "prompt"): "one {behavior} {generation}",
    ("judges keyword", "words"): "one\n{a|b} {question}\nquestion = c | d",
    ("judges llamaguard", "categories"): "S1: one",
    ("judges pairwise", "prompt"): "one {{ question }} {{ answer }} {{ second }} {{ form }}",
    ("judges pairwise", "reference"): '{"id": "1", "text": "one"}',
}
FILES = [(owner, name) for owner, filed in SETTINGS.items() for name, how in filed.items() if how == "file"]


@pytest.mark.parametrize(("owner", "name"), FILES)
def test_a_file_is_known_by_what_it_holds_wherever_it_lies(owner: str, name: str, tmp_path: Path) -> None:
    judge = HOST.judge(owner.removeprefix("judges "))

    def identity(place: str, text: str) -> Any:
        path = tmp_path / place
        path.write_text(text, encoding="utf-8")
        return judge.open(effective(judge.settings, {name: path}, owner=owner), tmp_path).identity

    text = TEXTS.get((owner, name), "one {{ question }} {{ answer }} {{ form }}")
    assert identity("here", text) == identity("there", text)
    assert identity("here", text.replace("one", "two")) != identity("there", text)


def identity_of(ref: str, settings: dict[str, Any]) -> Any:
    with use(HOST):
        return resolve(ModelSpec(ref=ref, settings=settings)).identity(FakeModel(info=ModelInfo(ref=ref, endpoint="e")))


@pytest.mark.parametrize(
    ("scheme", "setting"),
    [
        pytest.param(owner.removeprefix("models "), setting, id=f"{owner.removeprefix('models ')} {setting.name}")
        for owner, settings in declared().items()
        if owner.startswith("models ")
        for setting in settings
    ],
)
def test_another_value_of_a_providers_setting_is_another_model_if_and_only_if_it_is_identity(
    scheme: str, setting: Setting
) -> None:
    other = {
        bool: not setting.default,
        int: int(max(7, setting.least or 0)),
        float: 0.5,
        str: "other",
        Path: Path("other"),
    }[setting.type]
    if setting.choices:
        other = next(choice for choice in setting.choices if choice != setting.default)
    changed = identity_of(f"{scheme}/x", {setting.name: other})
    filed = SETTINGS[f"models {scheme}"][setting.name]
    assert (changed != identity_of(f"{scheme}/x", {})) == (filed == "identity")


CHANGED: dict[str, Any] = {
    "model": ModelSpec(ref="openai/other"),
    "tasks": ("mssbench",),
    "judges": ("openai/J",),
    "judge_settings": {"temperature": "1"},
    "task_settings": {"mssbench.setting": "qc"},
    "generation": {"temperature": 1.0},
    "system": "Be brief.",
    "limit": 3,
    "epochs": 3,
    "data": Path("data"),
    "fresh": True,
    "retry": frozenset({"empty"}),
    "probe": False,
    "phases": "sequential",
    "devices": "0,1",
    "min_coverage": 0.5,
    "policy": Policy(cap=1),
    "command": ("harness",),
}
#: identity that is not the model's: it enters keys by the task's displayed name, or a judge's id
NOT_OF_THE_FOLDER = {"judges", "judge_settings", "task_settings"}


@pytest.mark.parametrize("name", sorted(set(OPTIONS) - {"output"}))
def test_an_option_is_another_folder_if_and_only_if_it_makes_another_model(name: str) -> None:
    options = Options(model=ModelSpec(ref="openai/x"), tasks=("mis",))
    changed: Options = replace(options, **{name: CHANGED[name]})
    with use(HOST):
        moved = default_folder(changed) != default_folder(options)
    assert moved == (OPTIONS[name] == "identity" and name not in NOT_OF_THE_FOLDER)
