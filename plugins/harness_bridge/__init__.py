"""`harness bridge`: the command lines of lm-eval and VLMEvalKit with our models in them."""
