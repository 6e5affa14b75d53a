"""Models of VLMEvalKit's zoo, run in a child process. `--model vlmeval/NAME`."""
