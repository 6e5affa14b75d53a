"""The browser that these tests share is gone before any other test begins."""

from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of them are slow: `make test` needs no browser."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.slow)


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(nextitem: pytest.Item | None) -> None:
    """End it where the next test needs none, after the fixtures that may still have a page."""
    if nextitem is None or HERE not in nextitem.path.parents:
        from tests.browser.pages import close_browser

        close_browser()
