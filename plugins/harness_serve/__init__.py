"""`harness serve`: any model as an OpenAI-compatible server on this machine."""
