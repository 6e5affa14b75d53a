"""XSTest: safe prompts that look unsafe, and unsafe ones. The task `xstest` and its rubric."""
