"""The garbage collector leaves alone what pytest collected: 14,000 tests stay to the end, so each look costs time."""

import gc

import pytest


def pytest_configure() -> None:
    """Collection makes a million objects and hardly any garbage."""
    gc.disable()


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """The tests have garbage that they must not hide, such as a file that nobody closed."""
    gc.freeze()
    gc.enable()
