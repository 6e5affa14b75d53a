"""Claude models through the Messages API. `--model anthropic/NAME`."""
