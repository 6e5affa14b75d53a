"""Real photographs for records of the tests: the same question with other images."""
