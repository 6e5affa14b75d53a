"""Every setting and every option is filed: does another value make another result, or only another way to it?

Resume is right because of this table. A setting that is missing here fails a test that names the line to edit; filing
it is a decision, not a formality: what is filed as transport is reused under another value.
"""

from dataclasses import fields, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, cast

import pytest

from harness.attacks import AttackSpec
from harness.contracts import ModelInfo
from harness.evaluation.options import Options
from harness.keys import canonical, item, request_key, request_to_json
from harness.limits import Policy
from harness.models import ModelSpec, resolve
from harness.plugins import Host, use
from harness.prices import OwnPrice, Rates
from harness.replicas.placement import SETTINGS as PLACED
from harness.runs.run import default_folder
from harness.settings import effective
from harness.testing.fakes import FakeModel
from harness.types import Files, Generation, Image, ImageContent, Message, Request, Setting, Text

Filed = Literal["identity", "transport", "file", "subset"]
OURS = "vlm-safety-harness"


def filed(**names: str) -> dict[str, Filed]:
    """How each of these names is filed.

    identity: another value is another model, task or judge. transport: how it is reached. file: a path whose content is
    part of the identity, so that the place is not. subset: which records are asked.
    """
    return {name: cast("Filed", how) for how, text in names.items() for name in text.split()}


#: owners without settings are not listed
SETTINGS: dict[str, dict[str, Filed]] = {
    "models anthropic": filed(
        identity="base_url api_version resize max_image_mb max_image_side thinking thinking_budget effort "
        "think_tags extra",
        transport="api_key_env max_reply_mib timeout max_images",
    ),
    "models gemini": filed(
        identity="safety vertex_project vertex_location base_url api_version thinking_budget "
        "thinking_level include_thoughts media_resolution resize max_image_mb max_request_mb "
        "max_image_side extra",
        transport="api_key_env max_reply_mib timeout max_images",
    ),
    "models hf": filed(
        transport="device sharding max_images threads batch_size batch_wait",
        identity="dtype load_in attn_implementation revision adapter min_pixels max_pixels max_patches "
        "longest_edge profile prompt_format thinking control_tokens trust_remote_code",
    ),
    "models lm-eval": filed(identity="model_args", transport="device batch_size batch_wait"),
    "models mini": filed(identity="adapter"),
    "models openai": filed(
        identity="base_url azure_endpoint api_version detail resize max_image_mb max_image_side "
        "image_types max_tokens_field seed_field reasoning_effort think_tags extra",
        transport="api_key_env organization project max_reply_mib timeout max_images batch_form",
    ),
    "models vllm": filed(
        transport="tensor_parallel pipeline_parallel data_parallel gpu_memory_utilization max_num_seqs "
        "enforce_eager images_per_prompt",
        identity="max_model_len dtype quantization revision lora min_pixels max_pixels profile "
        "prompt_format mm_processor_kwargs thinking control_tokens trust_remote_code engine",
    ),
    "models vlmeval": filed(transport="python restarts", identity="model_path args"),
    "tasks figstep": filed(identity="prompts"),
    "tasks mssbench": filed(identity="setting queries prompts"),
    "tasks lm-eval": filed(identity="num_fewshot raw"),
    "tasks hallusionbench": filed(transport="any_revision fetch"),
    "tasks mmmu": filed(transport="any_revision fetch"),
    "tasks msts-labels": filed(identity="image"),
    "tasks strongreject-labels": filed(identity="threshold"),
    "tasks xstest-labels": filed(identity="partial"),
    "judges people": filed(identity="who"),
    "tasks mmstar": filed(transport="any_revision fetch"),
    "tasks mmt-bench": filed(transport="any_revision fetch"),
    "tasks muirbench": filed(transport="any_revision fetch"),
    "tasks pope": filed(transport="any_revision fetch"),
    "tasks vlmeval": filed(transport="any_revision fetch"),
    "judges harmbench": filed(file="prompt", identity="images sees"),
    "judges holisafe": filed(file="prompt", identity="sees"),
    "judges jailbreakv": filed(file="prompt", identity="user_text sees"),
    "attacks typographic": filed(identity="form text font"),
    "attacks shuffle": filed(identity="what patches side seed"),
    "attacks prepend-image": filed(identity="file"),
    "attacks order": filed(identity="seed"),
    "attacks blank": filed(identity="color"),
    "attacks unrelated": filed(identity="seed"),
    "strategies cot": filed(identity="prompt"),
    "strategies system-defence": filed(identity="text file"),
    "strategies self-reminder": filed(identity="form prompt"),
    "strategies adashield-s": filed(identity="form prompt"),
    "strategies adashield-a": filed(identity="pool form threshold", transport="clip device"),
    "strategies eta": filed(
        identity="least_reward unsafe_likeness candidates sentences weight temperature prefix",
        transport="reward clip device trust_remote_code",
    ),
    "strategies jailguard": filed(identity="copies mutate threshold similarity"),
    "strategies smooth": filed(identity="copies change share"),
    "judges keyword": filed(file="words"),
    "judges llamaguard": filed(identity="user_text response_only images format threshold sees", file="categories"),
    "judges mir-safetybench": filed(file="prompt", identity="sees"),
    "judges mis": filed(file="prompt", identity="prompts sees"),
    "judges mm-safetybench-plus": filed(file="prompt", identity="sees"),
    "tasks mm-safetybench-plus": filed(identity="field"),
    "judges mmsafety": filed(file="prompt", identity="user_text sees"),
    "judges mssbench": filed(file="prompt", identity="prompts sees"),
    "judges msts": filed(file="prompt", identity="sees"),
    "judges mtmcs": filed(file="prompt", identity="prompts sees"),
    "judges salad": filed(file="prompt", identity="sees"),
    "judges hades": filed(file="prompt", identity="sees"),
    "tasks hades": filed(identity="prompts"),
    "judges vscbench": filed(file="prompt", identity="sees"),
    "tasks vscbench": filed(identity="prompts"),
    "judges usb": filed(file="prompt", identity="sees"),
    "judges elite": filed(file="prompt", identity="prompts sees"),
    "tasks multibench": filed(identity="columns"),
    "judges strongreject": filed(file="prompt", identity="threshold sees"),
    "judges pairwise": filed(file="prompt reference", identity="images sees"),
    "judges siuo": filed(file="prompt", identity="sees"),
    "judges mossbench": filed(file="prompt", identity="sees"),
    "judges vlguard": filed(identity="prompts"),
    "judges spa-vl": filed(file="prompt", identity="sees"),
    "judges visco": filed(file="prompt", identity="sees"),
    "judges vlsbench": filed(file="prompt", identity="sees"),
    "judges xstest": filed(file="prompt", identity="partial sees"),
}

OPTIONS = filed(
    identity="model judges judge_settings task_settings generation system attack",
    subset="tasks limit shard epochs maps",
    transport="data output fresh retry probe phases devices launch hosts ray_address min_coverage policy command "
    "judge_repeat judge_vote batch wait max_usd prices",
)
POLICY = filed(transport="start cap tries throttled_tries base longest deadline breaker patience rpm tpm")
HERE = "tests/core/test_identity.py"
HOST = Host.load(tell=lambda _: None)


def declared() -> dict[str, tuple[Setting, ...]]:
    """The settings of everything that this distribution offers; a preset's are filed with those it was made of."""
    return {
        f"{kind} {getattr(item, 'name', None) or item.scheme}": item.settings
        for kind in ("models", "tasks", "judges", "strategies", "attacks")
        for item, plugin in HOST.offers(kind)
        if HOST.source(plugin).distribution == OURS and not getattr(item, "base", "")
    }


@pytest.mark.parametrize("owner", sorted({*declared(), *SETTINGS}))
def test_every_setting_is_filed_as_what_it_declares(owner: str) -> None:
    settings, names = declared().get(owner), SETTINGS.get(owner, {})
    assert settings is not None, f"{HERE}: nobody offers {owner!r} any more: take it out of SETTINGS"
    for setting in settings:
        assert setting.name in names, (
            f"{HERE}: file {setting.name!r} under SETTINGS[{owner!r}], as identity or transport"
        )
        expected = names[setting.name] == "identity"
        assert setting.identity == expected, f"{owner}: {setting.name} says identity={setting.identity}"
    gone = set(names) - {setting.name for setting in settings}
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
    "maps": {"keyword": {"refusal": "safe_refusal"}},
    "judge_settings": {"temperature": "1"},
    "task_settings": {"mssbench.setting": "qc"},
    "generation": {"temperature": 1.0},
    "system": "Be brief.",
    "launch": "ray",
    "hosts": ("a:0,1",),
    "ray_address": "auto",
    "limit": 3,
    "shard": (1, 3),
    "epochs": 3,
    "data": Path("data"),
    "fresh": True,
    "retry": frozenset({"empty"}),
    "probe": False,
    "phases": "sequential",
    "devices": "0,1",
    "min_coverage": 0.5,
    "judge_repeat": 3,
    "judge_vote": "majority",
    "batch": True,
    "wait": True,
    "policy": Policy(cap=1),
    "max_usd": 5.0,
    "attack": AttackSpec(name="drop"),
    "prices": {"openai/x": OwnPrice(live=Rates(*[Decimal(1)] * 4), source="me", date="2026-11-30")},
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


class Nowhere:
    """Files that are never read."""

    root = Path("nowhere")

    def read(self, path: str) -> bytes:
        raise AssertionError(path)

    def stamp(self, path: str) -> tuple[str, int, int]:
        raise AssertionError(path)


NOWHERE: Files = Nowhere()
CONTENT = ImageContent(data=b"x", encoded=b"eA==", sha256="ab" * 32, mime="image/png", width=1, height=1)
SEEN = Image(path="a/1.png", files=NOWHERE, content=CONTENT)
REQUEST = Request(messages=(Message(role="user", content=(SEEN, Text(text="What is this?"))),))


def key(request: Request = REQUEST, **more: object) -> str:
    given = {"task": "mis", "version": "1", "model": "k1:m", "epoch": 0, **more}
    return request_key(request=request, **given)  # type: ignore[arg-type]


def test_the_digest_of_a_known_request_never_changes() -> None:
    """Stored answers are found by it: if this fails, raise keys.VERSION and say so in the changelog."""
    assert key() == "k1:54cbca4bdb38b4f3e453e57a040e2b840a1b938dce09128b2e81f7edc166540d"


def test_equal_values_give_equal_text_whatever_their_order() -> None:
    assert canonical({"b": 1, "a": [1.5, None, "ü"]}) == '{"a":[1.5,null,"ü"],"b":1}'


def test_not_a_number_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        canonical(float("nan"))


def test_an_image_is_known_by_its_content_and_not_by_its_place() -> None:
    moved = replace(SEEN, path="elsewhere.png")
    other = replace(SEEN, content=replace(CONTENT, sha256="cd" * 32))
    ask = REQUEST.messages[0]

    def showing(image: Image) -> Request:
        return replace(REQUEST, messages=(replace(ask, content=(image, ask.content[1])),))

    assert key(showing(moved)) == key()
    assert key(showing(other)) != key()


def test_a_missing_image_has_a_key_of_its_own_so_that_the_mended_one_is_asked() -> None:
    missing = replace(SEEN, content=None)
    assert key(replace(REQUEST, messages=(Message(role="user", content=(missing,)),))) != key()


@pytest.mark.parametrize(
    "change",
    [
        {"messages": (Message(role="system", content=(Text(text="s"),)), *REQUEST.messages)},
        {"settings": Generation(temperature=1.0)},
        {"settings": Generation(max_tokens=7)},
        {"settings": Generation(top_p=0.5)},
        {"settings": Generation(seed=1)},
        {"settings": Generation(stop=("\n",))},
        {"schema": {"type": "object"}},
        {"raw": True},
        {"choices": ("A", "B")},
        {"prefill": "Sure"},
    ],
    ids=repr,
)
def test_whatever_is_asked_otherwise_has_another_key(change: dict[str, object]) -> None:
    assert key(replace(REQUEST, **change)) != key()  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["task", "version", "model", "epoch"])
def test_whoever_is_asked_otherwise_has_another_key(name: str) -> None:
    assert key(**{name: 1 if name == "epoch" else "other"}) != key()


def test_every_field_of_a_request_enters_the_key() -> None:
    """A new field of Request that can change an answer must be added to keys.asked."""
    assert set(request_to_json(REQUEST)) == {field.name for field in fields(Request)}


def test_every_field_of_generation_enters_the_key() -> None:
    assert set(request_to_json(REQUEST)["settings"]) == {field.name for field in fields(Generation)}


def test_the_order_of_images_enters_the_key() -> None:
    other = replace(SEEN, content=replace(CONTENT, sha256="cd" * 32))
    one = replace(REQUEST, messages=(Message(role="user", content=(SEEN, other)),))
    two = replace(REQUEST, messages=(Message(role="user", content=(other, SEEN)),))
    assert key(one) != key(two)


def test_an_item_says_who_and_nothing_of_how() -> None:
    assert item("mis", "easy", "17", 2) == "mis/easy/17#2"
