"""Llama Guard as a judge: safe or unsafe, by its own categories. The judge `llamaguard`."""
