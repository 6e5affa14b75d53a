"""Files for vLLM's run-batch: when an output counts as answered."""

import json
from pathlib import Path

import pytest
from harness_openai.run_batch import RunBatchFiles

pytestmark = pytest.mark.anyio


async def test_a_last_line_that_vllm_is_writing_does_not_count_as_answered(tmp_path: Path) -> None:
    side, output = RunBatchFiles("m"), tmp_path / "p.output.jsonl"
    (tmp_path / "p.input.jsonl").write_text('{"custom_id":"a"}\n{"custom_id":"b"}\n')
    first, last = (
        json.dumps({"custom_id": name, "response": {"status_code": 200, "body": {"choices": []}}}) for name in "ab"
    )
    for written in range(len(last) + 1):
        output.write_text(f"{first}\n{last[:written]}")
        state = await side.poll(str(output))
        assert (state.state, state.done) == ("open", 1)
    output.write_text(f"{first}\n{last}\n")
    assert (await side.poll(str(output))).state == "ended"
