"""Calls of models and painters: each is made once per build, counted, and stored by its request."""
