"""SIUO: safe inputs that call for an unsafe output. The task `siuo` and its rubric."""
