"""The steps of a build: each turns one value into the next, or ends it."""
