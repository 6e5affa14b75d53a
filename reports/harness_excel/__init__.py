"""The leaderboard as an Excel workbook: `harness report RUNS --format excel`."""
