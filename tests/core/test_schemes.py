"""Schemes made of other providers: presets, rows of the config, and calls from Python."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

import harness
from harness import Judge, ModelInfo, Provider, Rubric, Setting, Settings, Verdict, plugins, preset
from harness.errors import HarnessError, UnknownName
from harness.evaluation.options import Options
from harness.keys import digest
from harness.models import ModelSpec, Resolved, resolve
from harness.plugins import Host
from harness.runs.run import default_folder
from harness.testing.conformance import check_provider
from harness.testing.fakes import FakeModel, fake_judge, fake_provider, fake_sample, fake_task, host_of
from tests.acceptance.commands import Ended, harness_here

SETTINGS = (
    Setting(name="url", type=str, default="", identity=True, help="where it is"),
    Setting(name="detail", type=str, default="low", identity=True, help="how closely", choices=("low", "high")),
    Setting(name="share", type=float, default=None, identity=True, help="how much"),
    Setting(name="timeout", type=float, default=60.0, identity=False, help="how long"),
    Setting(name="file", type=Path, default=None, identity=True, help="which"),
)
FAKE = fake_provider(settings=SETTINGS)


def made(scheme: str = "mine", **settings: Any) -> Provider:
    return preset(FAKE, scheme, description="mine", settings=settings)


def test_a_preset_is_a_provider_with_other_defaults() -> None:
    provider = made(url="http://a", detail="high", share="0.5")
    check_provider(provider, "x")
    assert (provider.scheme, provider.base, provider.local) == ("mine", "fake", FAKE.local)
    defaults = {setting.name: setting.default for setting in provider.settings}
    assert defaults == {"url": "http://a", "detail": "high", "share": 0.5, "timeout": 60.0, "file": None}
    assert all(a.identity == b.identity for a, b in zip(provider.settings, SETTINGS, strict=True))


def test_what_makes_no_sense_is_not_offered_and_keeps_its_default() -> None:
    seen: list[Any] = []
    watched = harness.Provider(
        scheme="fake",
        description="",
        settings=SETTINGS,
        open=lambda name, settings: (seen.append(dict(settings)), FAKE.open(name, settings))[1],
    )
    provider = preset(watched, "mine", description="", settings={"url": "http://a"}, without=("file", "share"))
    assert [setting.name for setting in provider.settings] == ["url", "detail", "timeout"]

    async def body() -> None:
        async with provider.open("x", {"url": "http://b", "detail": "low", "timeout": 1.0}):
            pass

    anyio.run(body)
    assert seen == [{"url": "http://b", "detail": "low", "share": None, "timeout": 1.0, "file": None}]


def test_a_model_of_a_preset_has_the_presets_name_and_its_providers_endpoint() -> None:
    async def info(provider: Provider) -> ModelInfo:
        async with provider.open("a/b", {setting.name: setting.default for setting in provider.settings}) as model:
            assert isinstance(await model.generate(fake_sample().request), harness.Response)
            return model.info

    inner, outer = anyio.run(info, FAKE), anyio.run(info, made())
    assert (inner.ref, outer.ref) == ("fake/a/b", "mine/a/b")
    assert inner.endpoint == outer.endpoint


def test_a_preset_of_a_preset_is_one_too() -> None:
    outer = preset(made(url="http://a"), "outer", description="outer", settings={"detail": "high"})
    assert outer.base == "mine"
    assert [setting.default for setting in outer.settings][:2] == ["http://a", "high"]
    check_provider(outer, "x")


@pytest.mark.parametrize(
    ("settings", "what", "remedy"),
    [
        ({"ulr": "x"}, "provider fake has no setting 'ulr'", "did you mean 'url'?"),
        ({"detail": "hihg"}, "detail=hihg is not one of its values", "did you mean 'high'?"),
        ({"timeout": "soon"}, "timeout=soon is not a float", ""),
        ({"url": 5}, "url=5 is not a str", "where it is"),
    ],
)
def test_a_preset_with_a_wrong_setting_is_refused(settings: dict[str, Any], what: str, remedy: str) -> None:
    with pytest.raises(HarnessError, match=what) as caught:
        made(**settings)
    assert remedy in caught.value.remedy


ROW = "{provider: fake, description: our cluster, settings: {url: http://a, timeout: 5}}"


def _rubric(_settings: Settings, _root: Path) -> Rubric:
    return Rubric(
        identity={"template_hash": "abc"},
        labels=("calm",),
        ask=lambda sample, _answer: [sample.request],
        read=lambda *_: Verdict(label="calm"),
        sees=("question",),
    )


#: a rubric that asks a model
TONE = Judge(name="tone", version="1", description="", open=_rubric, needs=frozenset())
TASK = fake_task(judges={"fake": {}, "tone": {"calm": "safe"}})


@pytest.fixture
def host() -> Host:
    return host_of(FAKE, TASK, fake_judge(), TONE)


@pytest.fixture(autouse=True)
def here(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty working directory, no config of the user's, and a host with one fake provider."""
    monkeypatch.chdir(tmp_path)
    for kind in ("CONFIG", "DATA", "CACHE", "STATE"):
        monkeypatch.setenv(f"XDG_{kind}_HOME", str(tmp_path / kind.lower()))
    for name in ("HARNESS_JUDGE", "HARNESS_DATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Host, "load", lambda *_args, **_kw: host)
    with plugins.use(host):
        yield


def config(rows: str, folder: Path = Path()) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "harness.yaml").write_text(f"schemes:\n  {rows}\n", encoding="utf-8")


def stored_identity(name: str) -> dict[str, Any]:
    return dict(json.loads(Path(f"runs/{name}/run.json").read_text("utf-8"))["identity"])


def run(*words: object) -> Ended:
    return harness_here("run", "--tasks", "fake", "--no-probe", *words)


def identity(resolved: Resolved) -> dict[str, Any]:
    return resolved.identity(FakeModel(info=ModelInfo(ref="mine/x", endpoint="e")))


def registered(host: Host, **settings: Any) -> None:
    with plugins.use(host):
        harness.add_scheme("mine", "fake", settings=settings)


def test_the_identity_says_what_a_scheme_stands_for(host: Host) -> None:
    registered(host, url="http://a")
    found = identity(resolve(ModelSpec(ref="mine/x")))
    assert (found["scheme"], found["base"]) == ("mine", "fake")
    assert found["settings"] == {"url": "http://a", "detail": "low", "share": None, "file": None}
    assert "base" not in identity(resolve(ModelSpec(ref="fake/x")))
    registered(host, url="http://b")
    assert digest(identity(resolve(ModelSpec(ref="mine/x")))) != digest(found)


def test_a_folder_is_named_by_what_the_user_changes_of_a_presets_defaults(host: Host) -> None:
    def folder(**settings: Any) -> str:
        return default_folder(Options(model=ModelSpec(ref="mine/x", settings=settings), tasks=("fake",))).name

    registered(host, url="http://a")
    assert resolve(ModelSpec(ref="mine/x", settings={"url": "http://a"})).overrides == {}
    assert folder() == folder(url="http://a") == "mine-x"
    assert folder(url="http://b") != "mine-x"


def test_a_row_of_the_config_is_a_provider_for_a_run() -> None:
    config(f"mylab: {ROW}")
    done = run("--model", "mylab/x", "--json")
    assert done.code == 0, done.err
    model = json.loads(done.out)["model"]
    assert model["ref"] == "mylab/x"
    kept = stored_identity("mylab-x")
    assert (kept["base"], kept["settings"]["url"]) == ("fake", "http://a")


def test_a_run_whose_row_has_changed_is_refused_as_another_model() -> None:
    config(f"mylab: {ROW}")
    assert run("--model", "mylab/x").code == 0
    assert run("--model", "mylab/x").code == 0, "the same row goes on"
    config(f"mylab: {ROW.replace('http://a', 'http://b')}")
    refused = run("--model", "mylab/x")
    assert refused.code == 2
    assert "http://a" in refused.err
    assert "http://b" in refused.err
    config(f"mylab: {ROW.replace('timeout: 5', 'timeout: 6')}")
    assert run("--model", "mylab/x").code == 0, "how a model is reached is not which model it is"


def test_a_row_of_the_local_file_stands_over_the_users_row_of_that_name(tmp_path: Path) -> None:
    config("mylab: {provider: fake, settings: {url: http://user, detail: high}}", tmp_path / "config" / "harness")
    config("mylab: {provider: fake, settings: {url: http://local}}")
    assert run("--model", "mylab/x").code == 0
    kept = stored_identity("mylab-x")
    assert kept["settings"]["url"] == "http://local"
    assert kept["settings"]["detail"] == "low", "a row is one thing, and not merged with another"


def test_a_row_may_stand_on_a_row_before_it() -> None:
    config(f"mylab: {ROW}\n  finer: {{provider: mylab, settings: {{detail: high}}}}")
    assert run("--model", "finer/x").code == 0
    kept = stored_identity("finer-x")
    assert (kept["base"], kept["settings"]["url"]) == ("mylab", "http://a")


@pytest.mark.parametrize(
    ("rows", "where", "said"),
    [
        ("fake: {provider: fake}", "schemes.fake", "a plugin offers the scheme 'fake' already"),
        ("mylab: {provider: fke}", "schemes.mylab", "no provider is called 'fke'\n  did you mean 'fake'?"),
        ("mylab: {provider: fake, settings: {ulr: x}}", "schemes.mylab", "'ulr'\n  did you mean 'url'?"),
        ("mylab: {provider: fake, settings: {url: 5}}", "schemes.mylab", "url=5 is not a str"),
        ("mylab: {provider: fake, settings: [url]}", "schemes.mylab.settings", "must be a mapping"),
        (
            "mylab: {provider: fake, setings: {}}",
            "schemes.mylab",
            "a scheme has no 'setings'\n  did you mean 'settings'?",
        ),
        ("mylab: {settings: {}}", "schemes.mylab", "needs a provider"),
        ("mylab: {provider: 5}", "schemes.mylab.provider", "is a text"),
        ("mylab: fake", "schemes.mylab", "must be a mapping"),
        ("My Lab: {provider: fake}", "schemes.My Lab", "'My Lab' cannot be a scheme"),
    ],
)
def test_a_row_that_is_wrong_is_refused_with_its_place(rows: str, where: str, said: str) -> None:
    config(rows)
    done = run("--model", "fake/x")
    assert done.code == 2
    assert f"(harness.yaml: {where})" in done.err
    for part in said.split("\n"):
        assert part in done.err
    assert not Path("runs").exists()


def test_schemes_that_are_no_mapping_are_said() -> None:
    Path("harness.yaml").write_text("schemes: [mylab]", encoding="utf-8")
    done = run("--model", "fake/x")
    assert (done.code, "schemes must be a mapping" in done.err) == (2, True)


def test_a_mapping_in_a_row_is_json_for_a_setting_that_takes_it(host: Host) -> None:
    config("mylab: {provider: fake, settings: {url: {top_k: 20}}}")
    assert run("--model", "mylab/x").code == 0
    assert resolve(ModelSpec(ref="mylab/x")).settings["url"] == '{"top_k": 20}'


def test_the_list_of_models_shows_rows_with_what_they_are_made_of() -> None:
    config(f"mylab: {ROW}")
    lines = harness_here("models").out.splitlines()
    assert lines[0].split() == ["NAME", "OF", "PLUGIN", "DESCRIPTION"]
    assert lines[2].split() == ["mylab", "fake", "schemes.mylab", "our", "cluster"]
    shown = harness_here("models", "list", "mylab").out
    assert "plugin schemes.mylab (config harness.yaml)" in shown
    assert "fake with other defaults" in shown
    assert "http://a" in shown
    (found,) = json.loads(harness_here("models", "list", "mylab", "--json").out)
    assert (found["base"], found["plugin"]["name"]) == ("fake", "schemes.mylab")


def test_the_list_of_models_reads_the_config_that_is_named(tmp_path: Path) -> None:
    config(f"mylab: {ROW}", tmp_path / "other")
    assert "mylab" not in harness_here("models").out
    named = ("--config", str(tmp_path / "other" / "harness.yaml"))
    for words in (("models", *named), ("models", *named, "list"), ("models", "list", *named)):
        assert "mylab" in harness_here(*words).out


def test_the_list_of_models_says_where_a_row_is_wrong() -> None:
    config("mylab: {provider: fke}")
    done = harness_here("models")
    assert (done.code, "harness.yaml: schemes.mylab" in done.err) == (2, True)


def test_a_run_is_judged_where_its_models_scheme_is_unknown() -> None:
    config(f"mylab: {ROW}")
    assert run("--model", "mylab/x").code == 0
    Path("harness.yaml").unlink()
    fresh = host_of(FAKE, TASK, fake_judge(), TONE)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Host, "load", lambda *_args, **_kw: fresh)
        done = harness_here("judge", "runs/mylab-x")
    assert done.code == 0, done.err


def test_a_row_judges_as_any_model_does_and_its_settings_enter_the_judges_id() -> None:
    def judged() -> dict[str, Any]:
        done = run("--model", "fake/x", "--judge", "tone=mylab/j", "--fresh", "--json")
        assert done.code == 0, done.err
        return dict(json.loads(done.out)["judges"])

    config(f"mylab: {ROW}")
    ((first, card),) = judged().items()
    assert (card["model"], first.rpartition("-")[0]) == ("mylab/j", "tone-mylab-j")
    assert list(judged()) == [first]
    config(f"mylab: {ROW.replace('http://a', 'http://b')}")
    assert list(judged()) != [first], "another row is another judge"
    Path("harness.yaml").unlink()


def test_a_scheme_that_this_machine_does_not_know_is_named_with_how_to_add_it() -> None:
    assert run("--model", "fake/x").code == 0
    asked = ("run", "--tasks", "fake", "--model", "mylab/x"), ("judge", "runs/fake-x", "--judge", "tone=mylab/j")
    for words in asked:
        done = harness_here(*words)
        assert done.code == 2
        assert "no provider is called 'mylab'" in done.err
        assert "schemes in harness.yaml" in done.err


def test_python_adds_a_scheme_and_may_add_it_again(host: Host) -> None:
    registered(host, url="http://a")
    registered(host, url="http://b")
    assert resolve(ModelSpec(ref="mine/x")).settings["url"] == "http://b"
    (origin,) = [host.source(plugin).origin for item, plugin in host.offers("models") if item.scheme == "mine"]
    assert origin == "python add_scheme"
    done = harness.run("mine/x", "fake", probe=False)
    assert done.exit_code == 0


def test_python_is_refused_as_a_config_is(host: Host) -> None:
    with pytest.raises(UnknownName, match="no provider is called 'fke'"):
        harness.add_scheme("mine", "fke")
    with pytest.raises(HarnessError, match="offers the scheme 'fake' already"):
        harness.add_scheme("fake", "fake")
