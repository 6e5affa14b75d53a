"""Results in the shapes of VLMEvalKit's and lm-eval's files: `harness report RUN --format vlmevalkit|lm-eval`."""
