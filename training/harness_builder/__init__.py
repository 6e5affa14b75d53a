"""The dataset builder: new multi-image safety data in MIS's own layout, with every decision recorded.

Source: the four-step construction of MIS, arXiv 2501.18533 §3.2 and App. D.1. Prompts are in our own words.
"""
