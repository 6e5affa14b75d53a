"""An optional package that is missing is an error that names the extra to install."""

import importlib

import pytest

from harness.errors import HarnessError
from harness.extras import install_command, require, require_module


def test_a_missing_package_names_who_needs_it_the_extra_and_the_command() -> None:
    missing = r"hf/ needs the extra `hf`: No module named 'no_such_package'"
    with pytest.raises(HarnessError, match=missing) as caught, require("hf", by="hf/"):
        importlib.import_module("no_such_package")
    assert caught.value.remedy == "pip install 'vlm-safety-harness[hf]'"


def test_a_module_of_several_extras_names_all_of_them() -> None:
    with pytest.raises(HarnessError, match="training needs the extras `hf` and `train`: ") as caught:
        require_module("no_such_package", "hf", "train", by="training", where="here")
    assert (caught.value.where, caught.value.remedy) == ("here", install_command("hf", "train"))
    assert install_command("hf", "train") == "pip install 'vlm-safety-harness[hf,train]'"


def test_a_package_that_is_there_is_imported_and_other_errors_pass() -> None:
    assert require_module("json", "hf", by="hf/").loads("1") == 1
    with pytest.raises(ZeroDivisionError), require("hf", by="hf/"):
        print(1 / 0)
