"""Presets: another provider's models with other defaults."""

from pathlib import Path
from typing import Any

import anyio
import pytest

import harness
from harness import ModelInfo, Provider, Setting, preset
from harness.errors import HarnessError
from harness.testing.conformance import check_provider
from harness.testing.fakes import fake_provider, fake_sample

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
