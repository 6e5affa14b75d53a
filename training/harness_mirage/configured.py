"""What must hold of an accelerate configuration so that a training by it starts, and leaves a model when it ends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

from harness import BadData

_COUNTS: Final = ("num_processes", "num_machines")
_PARTS: Final = ("fsdp_config", "deepspeed_config")
_FULL: Final = "FULL_STATE_DICT"
_FULL_BY_NUMBER: Final = "1"  #: as torch counts the kinds of state dicts, which accelerate takes as well


def check_config(config: Mapping[str, Any], where: str) -> None:
    """Whether a configuration, of the package or of the user, can be trained by.

    Args:
        config: as the file has it.
        where: the file.

    Raises:
        BadData: a count that is none, a part that is no mapping, or weights that would stay spread over the devices.
    """
    for name in _COUNTS:
        count = config.get(name, 1)
        if not isinstance(count, int) or isinstance(count, bool) or count < 1:
            raise BadData(f"{name}: {count} is not a whole number from 1", where=where)
    for name in _PARTS:
        if not isinstance(config.get(name) or {}, dict):
            raise BadData(f"{name} is a mapping", where=where)
    _check_fsdp(config, where)
    _check_zero(part(config, "deepspeed_config"), where)


def part(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A mapping inside a configuration; empty where there is none."""
    return cast("Mapping[str, Any]", config.get(name) or {})


def shards(config: Mapping[str, Any]) -> bool:
    """Whether a configuration spreads a model over GPUs, which a CPU cannot do."""
    return config.get("distributed_type") in ("FSDP", "DEEPSPEED")


def _check_fsdp(config: Mapping[str, Any], where: str) -> None:
    """Accelerate takes the keys with and without `fsdp_`, and FSDP 2 spreads the weights where nothing is said."""
    if config.get("distributed_type") != "FSDP":
        return
    its = {
        key if key.startswith("fsdp") else f"fsdp_{key}": value for key, value in part(config, "fsdp_config").items()
    }
    default = _FULL if str(its.get("fsdp_version", 1)) == "1" else "SHARDED_STATE_DICT"
    kind = str(its.get("fsdp_state_dict_type") or default).upper()
    if kind not in (_FULL, _FULL_BY_NUMBER):
        raise BadData(
            f"with {kind} the weights stay spread over the devices, and no model would be written",
            where=where,
            remedy=f"fsdp_config: {{fsdp_state_dict_type: {_FULL}}}",
        )


def _check_zero(its: Mapping[str, Any], where: str) -> None:
    """Where DeepSpeed has a file of its own, that file says it."""
    if its.get("zero_stage") == 3 and "deepspeed_config_file" not in its and not its.get("zero3_save_16bit_model"):
        raise BadData(
            "the weights stay spread over the devices, and no model would be written",
            where=where,
            remedy="deepspeed_config: {zero3_save_16bit_model: true}",
        )
