"""The leaderboard as LaTeX tables: `harness report RUNS --format latex`."""
