"""Real photographs for records of the tests: the same question, asked of other images."""
