"""The leaderboard as one self-contained page, its figures, and a folder for a Hugging Face Space."""
