"""Calls of models and painters: each is made once in the life of a build, counted, and kept by what was asked."""
