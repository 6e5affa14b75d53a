"""The steps of a build: each makes one thing of another, or says how it ended."""
