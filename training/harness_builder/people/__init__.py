"""What people have to do with a build: the candidates they decide on, and what they decided.

candidates = CandidateFile(path, plan.categories, plan.reviewers)    # the walk puts each that came to be sorted
people = People.load(out, plan)                                       # the walk asks what was decided of each
queue = reviewing(out)                                               # `harness build review` shows them
"""

from .candidates import CandidateFile, Candidates, read_candidates, write_candidates
from .deciding import People
from .looking import image_of, reviewing

__all__ = [
    "CandidateFile",
    "Candidates",
    "People",
    "image_of",
    "read_candidates",
    "reviewing",
    "write_candidates",
]
