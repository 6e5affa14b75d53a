"""lm-eval's own models as a provider. `--model lm-eval/TYPE`."""
