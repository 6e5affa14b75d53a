"""The two base classes, as far as the harness sees them."""

import time
from pathlib import Path


def parse(value):
    """As VLMEvalKit: a text that is a file's name is taken for the file."""
    return "image" if Path(value).exists() else "text"


class BaseAPI:
    """Never raises: a text comes back whatever happens."""

    is_api = True
    INTERLEAVE = True

    def __init__(
        self, retry=10, wait=1, system_prompt=None, verbose=True, fail_msg="Failed to obtain answer via API.", **kwargs
    ):
        self.retry, self.wait, self.verbose = retry, wait, verbose
        self.system_prompt, self.fail_msg, self.default_kwargs = system_prompt, fail_msg, kwargs

    def preproc_content(self, inputs):
        for item in inputs:
            assert parse(item["value"]) == item["type"], "a text was taken for a file"
        return inputs

    def generate(self, message, dataset=None):
        message = self.preproc_content(message)
        answer = None
        for _ in range(self.retry):
            try:
                code, answer, _ = self.generate_inner(message, **self.default_kwargs)
                if code == 0 and self.fail_msg not in answer and answer != "":
                    if self.verbose:
                        print(answer)
                    return answer
            except Exception:
                if self.verbose:
                    print("failed")
            time.sleep(self.wait)
        return self.fail_msg if answer in ["", None] else answer


class BaseModel:
    """A local model."""

    INTERLEAVE = False

    def preproc_content(self, inputs):
        return inputs

    def generate(self, message, dataset=None):
        return self.generate_inner(self.preproc_content(message), dataset)
