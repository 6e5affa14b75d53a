"""Finds, fetches and checks data, and reads upstream's wording."""
