"""What a config may hold, how a mistake in it is told, and what a dry run shows of it."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from harness_builder import plan as plans
from harness_builder.building import count_calls, render_plan
from harness_builder.config import Config, read_plan
from harness_builder.licences import check_licences
from harness_builder.photos.selection import TRIED
from harness_builder.plan import PROMPTS, ROLES, ModelChoice, Photos, Plan
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness import HarnessError, UnknownName
from tests.training.configs import LEAST, WHOLE, read, refused, written
from tests.training.kinds import present

# ---- what is read ------------------------------------------------------------------------------------------------


def test_four_keys_make_a_plan_and_all_else_has_a_default(tmp_path: Path) -> None:
    plan = read(tmp_path)
    (source,) = plan.sources
    assert (source.name, source.path, source.layout) == ("own", tmp_path / "seeds.csv", "plain")
    assert plan == Plan(
        name="shapes", sources=plan.sources, models=plan.models, painter=ModelChoice(ref="mini/painter")
    ), "a default of the config is not that of the plan"


def test_a_writer_alone_is_the_viewer_too(tmp_path: Path) -> None:
    plan = read(tmp_path)
    assert {plan.model(role).ref for role in ROLES} == {"mini/writer"}


def test_every_key_is_read(tmp_path: Path) -> None:
    plan = read_plan(written(tmp_path, WHOLE))
    default = read(tmp_path)
    alike = [name for name in Plan.__dataclass_fields__ if getattr(plan, name) == getattr(default, name)]
    assert alike == ["probe", "file"], "this file changes all that it can"
    assert not read(tmp_path, probe={"ask": False}).probe
    own, vls = plan.sources
    assert (own.limit, own.seed, own.columns) == (50, 3, {"text": "what", "key": "number"})
    assert (vls.layout, vls.licence) == ("vlsbench", "")
    assert plan.categories == {"Fire": ("Candles", "Stoves"), "Water": ()}
    assert plan.models["viewer"] == ModelChoice(
        ref="openai/eyes", settings={"timeout": 5}, price={"input": 1, "output": 2.5}
    )
    assert plan.model("prober").ref == "openai/eyes"
    assert plan.painter == ModelChoice(ref="diffusers/small", settings={"steps": 4}, price={"image": 0.04})
    assert (plan.width, plan.height, plan.per_text, plan.per_image, plan.rounds, plan.best_of) == (512, 768, 3, 1, 3, 2)
    assert (plan.review, plan.reviewers, plan.probe, plan.together) == (False, 2, True, True)
    assert (plan.rubric, plan.accept, plan.tries, plan.refusal, plan.text_only) == ("mini", ("a", "b"), 4, True, True)
    assert (plan.likeness, plan.bits, plan.balance) == (0.7, 4, {"Fire": 3, "Water": 4})
    assert (plan.concurrency, plan.most_calls, plan.most_usd) == (8, 1000, 2)


def test_paths_are_relative_to_the_file_and_a_whole_one_stays(tmp_path: Path) -> None:
    plan = read_plan(written(tmp_path, WHOLE))
    assert [source.path for source in plan.sources] == [tmp_path / "seeds/mine.csv", tmp_path / "../VLSBench"]
    assert plan.prompts == {"write": tmp_path / "prompts/write.j2", "label": Path("/etc/label.j2")}
    assert plan.against == (
        plans.ReferenceTest(task="mssbench"),
        plans.ReferenceTest(task="mis:easy", data=tmp_path / "tests/MIS"),
    )
    assert plan.photos == Photos(
        name="photos",
        path=tmp_path / "photos",
        licence="cc0-1.0",
        count=9,
        by="caption",
        least=0.5,
        faces=tmp_path / "yunet.onnx",
    )


def test_a_tilde_is_the_users_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    (source,) = read(tmp_path, sources=[{"name": "own", "path": "~/seeds.csv"}]).sources
    assert source.path == tmp_path / "me" / "seeds.csv"
    (source,) = read(tmp_path, sources=[{"name": "own", "path": "~nobody-here/seeds.csv"}]).sources
    assert source.path == tmp_path / "~nobody-here/seeds.csv"


def test_weights_may_be_a_file_beside_the_config_or_a_tag(tmp_path: Path) -> None:
    (tmp_path / "tiny.pt").touch()
    real = {"name": "photos", "path": "photos"}
    found = present(read(tmp_path, real={**real, "model": "ViT:tiny.pt"}).photos)
    assert found.model == f"ViT:{tmp_path / 'tiny.pt'}"
    tagged = present(read(tmp_path, real={**real, "model": "ViT:laion"}).photos)
    assert tagged.model == "ViT:laion"
    assert read(tmp_path, real={**real, "model": f"ViT:{'x' * 5000}"}).photos


def test_categories_may_be_a_list_of_names(tmp_path: Path) -> None:
    assert read(tmp_path, categories=["Fire", "Water"]).categories == {"Fire": (), "Water": ()}


def test_a_section_without_its_keys_is_as_if_it_were_not_there(tmp_path: Path) -> None:
    assert read(tmp_path, draw=None, quality=None, real=None) == read(tmp_path)


# ---- what is refused ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "key", "nearest"),
    [
        ({"nmae": "x"}, "'nmae'", "'name'"),
        ({"sort": {"reviw": "people"}}, "sort", "'review'"),
        ({"elements": {"per_txt": 2}}, "elements", "'per_text'"),
        ({"sources": [{"name": "a", "path": "b"}, {"name": "c", "path": "d", "limt": 3}]}, "sources.#2", "'limit'"),
        ({"sources": [{"name": "a", "path": "b", "layout": "vlsbnch"}]}, "sources.#1", "'vlsbench'"),
        ({"models": {"writer": "a/b", "jugde": "c/d"}}, "models", "'judge'"),
        ({"models": {"writer": {"model": "a/b", "prize": {}}}}, "models.writer", "'price'"),
        ({"models": {"writer": {"model": "a/b", "price": {"inptu": 1}}}}, "models.writer.price", "'input'"),
        ({"painter": {"paintr": "a/b"}}, "painter", "'painter'"),
        ({"prompts": {"detox": "x.j2"}}, "prompts", "'detoxify'"),
        ({"quality": {"against": [{"tsk": "mis"}]}}, "quality.against.#1", "'task'"),
        ({"categories": ["Fire"], "quality": {"balance": {"Fier": 2}}}, "quality.balance", "'Fire'"),
    ],
)
def test_a_name_that_there_is_not_is_refused_with_its_place_and_the_nearest(
    tmp_path: Path, changes: dict[str, Any], key: str, nearest: str
) -> None:
    error = refused(tmp_path, **changes)
    assert isinstance(error, UnknownName)
    assert key in error.what
    assert nearest in error.remedy


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"name": 2024}, "name: must be a text, not 2024"),
        ({"name": " "}, "name: is empty"),
        ({"name": "a\nb"}, "name: must be on one line"),
        ({"language": "Ger\u2028man"}, "language: must be on one line"),
        ({"seed": "x"}, "seed: must be a whole number, not a text"),
        ({"seed": True}, "seed: must be a whole number, not a yes or no"),
        ({"sources": []}, "sources: must not be empty"),
        ({"sources": "seeds.csv"}, "sources: must be a list, not a text"),
        ({"sources": ["seeds.csv"]}, "sources.#1: must be a mapping"),
        ({"sources": [{"name": "a"}]}, "sources.#1.path: is missing"),
        ({"sources": [{"name": "a/b", "path": "x"}]}, "sources.#1.name: 'a/b' holds a /"),
        ({"sources": [{"name": "a", "path": "x", "limit": 0}]}, "sources.#1.limit: must be at least 1"),
        ({"sources": [{"name": "a", "path": "x", "columns": {"words": "y"}}]}, "sources.#1: a seed has no column"),
        ({"sources": [{"name": "a", "path": "x"}, {"name": "a", "path": "y"}]}, "two sources are called 'a'"),
        ({"real": {"name": "own", "path": "x", "by": "caption"}}, "two sources are called 'own'"),
        ({"models": None}, "models: must be a mapping, not nothing"),
        ({"models": {"viewer": "a/b"}}, "models: no model is the writer"),
        ({"models": {"writer": "gpt"}}, "models.writer.model: 'gpt' is no model or painter"),
        ({"models": {"writer": 5}}, "models.writer: must be a mapping"),
        ({"models": {"writer": {"model": "a/b", "price": {"input": 1}}}}, "models.writer.price.output: is missing"),
        ({"painter": {"painter": "a/b", "price": {"image": -1}}}, "painter.price.image: must be at least 0"),
        (
            {"painter": {"painter": "a/b", "price": {"image": float("inf")}}},
            "painter.price.image: must be a finite number",
        ),
        ({"painter": {"painter": "a/b", "width": 8}}, "painter.width: must be at least 64"),
        ({"painter": {"painter": "a/b", "height": 100_000}}, "painter.height: must be at most 4096"),
        ({"categories": "Fire"}, "categories: must be a mapping"),
        ({"categories": ["Fire", 5]}, "categories: a category is a text, not 5"),
        ({"categories": ["Fire", "Fire"]}, "categories: two categories have one name"),
        ({"categories": ["Self-Harm", "self harm"]}, "cannot be told apart"),
        ({"categories": {"Fire": ["A", "a"]}}, "cannot be told apart"),
        ({"categories": {"Fire": "A"}}, "categories.Fire: must be a list"),
        ({"categories": {5: []}}, "categories: a name in it must be a text, not 5"),
        ({"elements": {"per_text": 0}}, "elements.per_text: must be at least 1"),
        ({"elements": {"per_image": 1.5}}, "elements.per_image: must be a whole number, not 1.5"),
        ({"elements": 3}, "elements: must be a mapping of keys to values, not 3"),
        ({"draw": {"rounds": 0}}, "draw.rounds: must be at least 1"),
        ({"draw": {"best_of": -1}}, "draw.best_of: must be at least 1"),
        ({"sort": {"review": False}}, "sort.review: must be 'people' or 'none'"),
        ({"sort": {"reviewers": 0}}, "sort.reviewers: must be at least 1"),
        ({"probe": {"ask": "maybe"}}, "probe.ask: must be true or false, not a text"),
        ({"probe": {"keep": "some"}}, "probe.keep: must be 'all' or 'together'"),
        ({"probe": {"ask": False, "keep": "together"}}, "probe: keep: together needs the probes"),
        ({"label": {"accept": []}}, "label.accept: must not be empty"),
        ({"label": {"accept": "a"}}, "label.accept: must be a list"),
        ({"label": {"tries": 0}}, "label.tries: must be at least 1"),
        ({"quality": {"text": 0.69}}, "quality.text: must be at least 0.7"),
        ({"quality": {"text": 1.1}}, "quality.text: must be at most 1"),
        ({"quality": {"image": 17}}, "quality.image: must be at most 16"),
        ({"quality": {"balance": 0}}, "quality.balance: must be a whole number of at least 1"),
        ({"quality": {"balance": {"Fire": "3"}}}, "quality.balance: must be a whole number of at least 1"),
        ({"quality": {"balance": {}}}, "quality.balance: must be a whole number of at least 1"),
        ({"real": {"name": "p", "path": "x"}}, "real: by: clip needs a model of open_clip"),
        ({"real": {"name": "p", "path": "x", "model": "ViT"}}, "not 'ViT'"),
        ({"real": {"name": "p", "path": "x", "by": "caption", "least": 2}}, "real.least: must be at most 1"),
        ({"limits": {"calls": 0}}, "limits.calls: must be at least 1"),
        ({"limits": {"usd": 0}}, "limits.usd: must be more than 0"),
        ({"limits": {"usd": float("nan")}}, "limits.usd: must be"),
        ({"limits": {"concurrency": "many"}}, "limits.concurrency: must be a whole number"),
    ],
)
def test_a_value_that_cannot_be_is_refused_with_its_key(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    assert says in refused(tmp_path, **changes).what


@pytest.mark.parametrize("key", LEAST)
def test_a_key_that_must_be_there_is_named(tmp_path: Path, key: str) -> None:
    rest = {name: value for name, value in LEAST.items() if name != key}
    with pytest.raises(HarnessError, match=f"^{key}: is missing"):
        read_plan(written(tmp_path, yaml.safe_dump(rest)))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "name: is missing"),
        ("# nothing yet\n", "name: is missing"),
        ("- a\n- b\n", "must be a mapping of keys to values, not a list"),
        ("just words", "must be a mapping of keys to values, not a text"),
        ("name: [", "is not YAML"),
        ("name: a: b", "is not YAML"),
        ("name: 2024-13-45", "is not YAML"),
        ("name: !!python/object/apply:os.getcwd []", "is not YAML"),
        ("[" * 5000, "is nested too deeply"),
        ("name: \x00", "is not YAML"),
        ("a: &a [*a, *a]\nb: *a", "there is no key 'a'"),
        ("? [1, 2]\n: 3", "is not YAML"),
        ("3: x", "there is no key '3'"),
        ("name: a\nseed: 1\nname: b", "build.yaml, line 3"),
    ],
)
def test_a_file_that_is_no_config_is_refused_and_named(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(HarnessError) as caught:
        read_plan(written(tmp_path, text))
    assert says in str(caught.value)
    assert "build.yaml" in str(caught.value)


def test_a_file_that_is_not_there_is_a_folder_or_no_text_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(HarnessError, match="cannot read"):
            read_plan(path)
    (tmp_path / "latin.yaml").write_bytes("name: Größe".encode("latin-1"))
    with pytest.raises(HarnessError, match="is not YAML"):
        read_plan(tmp_path / "latin.yaml")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
KEYS = [each for each in Config.model_fields if each != "name"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None)
@given(key=st.sampled_from(KEYS), value=JSON)
def test_no_value_of_any_key_is_anything_but_a_plan_or_a_refusal(tmp_path: Path, key: str, value: Any) -> None:
    with suppress(HarnessError):
        assert isinstance(read_plan(written(tmp_path, json.dumps({**LEAST, key: value}))), Plan)


def test_all_names_that_a_config_may_use_are_those_of_the_plan() -> None:
    assert set(ROLES) >= {"writer", "viewer"}
    assert set(PROMPTS) >= {"elements", "write"}


def showing(folder: Path, seeds: str = "text\nOne.\nTwo.\n", **changes: Any) -> str:
    (folder / "seeds.csv").write_text(seeds, encoding="utf-8")
    plan = read(folder, **{"label": {"rubric": "mini", "accept": ["declines_with_reason"]}, **changes})
    return render_plan(plan, check_licences(plan.sources))


def test_a_plan_is_shown_with_its_sources_models_templates_and_licence(tmp_path: Path) -> None:
    text = showing(tmp_path, models={"writer": "a/words", "viewer": "b/eyes"}, prompts={"write": "mine.j2"})
    assert text.startswith("shapes: questions in English, licence mit")
    assert "own  plain  2 texts  mit" in text
    assert "writer    a/words" in text
    assert "checker   b/eyes, as the viewer" in text
    assert f"write: {tmp_path / 'mine.j2'}" in text
    assert "the package's own, all of them" in showing(tmp_path)


def test_a_judge_is_shown_where_one_is_asked(tmp_path: Path) -> None:
    assert "\n  judge " not in showing(tmp_path), "a rule judges"
    asked = showing(tmp_path, label={"rubric": "mis"})
    assert asked.count("\n  judge ") == 2, "as a model, and with its calls"


def test_who_decides_is_shown(tmp_path: Path) -> None:
    people = showing(tmp_path, sort={"reviewers": 2})
    assert "2 people must review each candidate" in people
    assert "no person looks at it" in showing(tmp_path, sort={"review": "none"})


def test_every_option_that_is_on_is_shown(tmp_path: Path) -> None:
    text = showing(
        tmp_path,
        categories=["Fire"],
        quality={"against": ["mis", {"task": "siuo", "data": "there"}], "balance": 5},
        label={"rubric": "mini", "accept": ["a"], "refusal": True, "text_only": True, "tries": 1},
        draw={"rounds": 1, "best_of": 4},
        probe={"keep": "together"},
        real={"name": "photos", "path": "here", "by": "caption", "count": 8},
        limits={"calls": 90, "usd": 1.5},
    )
    for said in (
        "Fire",
        "mis\n",
        f"siuo in {tmp_path / 'there'}",
        "5 of each category",
        "also refusals and answers in words alone",
        "in 1 try;",
        "1 round, the best of 4",
        "what is risky together alone",
        "at most 8 from",
        "8 of each object are looked at",
        "90 calls or 1.5 US dollars",
    ):
        assert said in text, said


def test_names_with_control_characters_do_not_reach_the_terminal(tmp_path: Path) -> None:
    assert "\x1b" not in showing(tmp_path, quality={"against": [{"task": "mis", "data": "a\u202eb\u200fc"}]})
    assert "\u202e" not in showing(tmp_path, quality={"against": [{"task": "mis", "data": "a\u202eb"}]})


def test_a_source_without_a_seed_is_an_error_before_anything_is_asked(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="is empty"):
        showing(tmp_path, seeds="")


def test_the_calls_that_are_shown_are_those_of_the_seeds(tmp_path: Path) -> None:
    text = showing(tmp_path, elements={"per_text": 1})
    table = text.partition("\ncalls at most\n")[2].partition("\n  if each seed")[0].splitlines()[1:]
    numbers = {who: counts for who, *counts in map(str.split, table)}
    assert numbers["writer"] == ["3", "6", "6"]  # elements of a text alone; per element written and made neutral
    assert numbers["painter"] == ["4", "12", "8"]
    assert numbers["all"][2] == str(sum(int(row[2]) for who, row in numbers.items() if who != "all"))


def test_no_line_of_prose_is_wider_than_the_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for terminal, most in ((50, 50), (300, 120)):
        monkeypatch.setenv("COLUMNS", str(terminal))
        note = showing(tmp_path).partition("\n  if each seed")[2].splitlines()
        assert len(note) > 1
        assert max(map(len, note)) <= most


def test_photographs_that_are_looked_at_are_among_the_calls(tmp_path: Path) -> None:
    bare = read(tmp_path, real=None)
    asked = read(tmp_path, real={"name": "photos", "path": "here", "by": "caption"})
    more = count_calls(asked, texts=3, images=2) - count_calls(bare, texts=3, images=2)
    assert more == {"checker": 12 * 2 * TRIED, "viewer": 12 * 2 * TRIED}, "of both objects of twelve elements"


def test_what_is_not_asked_for_takes_no_call() -> None:
    bare = Plan(
        name="x",
        sources=(),
        models={},
        painter=ModelChoice(ref="a/b"),
        per_text=1,
        probe=False,
        rounds=1,
        tries=1,
        rubric="mini",
    )
    found = count_calls(bare, texts=10, images=0)
    assert found == {"writer": 30, "checker": 20, "painter": 20, "viewer": 10, "labeller": 10, "prober": 0, "judge": 0}
    assert count_calls(bare, texts=0, images=0).total() == 0
