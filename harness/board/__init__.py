"""Results to leaderboards and tables."""
