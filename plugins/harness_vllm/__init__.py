"""Models run by vLLM in this process. `--model vllm/ID_OR_PATH`."""
