"""Models with random weights, each of a real architecture with its own processor and way of speaking."""
