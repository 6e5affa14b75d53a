"""Tasks of lm-eval as tasks here: `lm-eval:NAME`, their prompts and their scoring with our models."""
