from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from harness.evaluation.sampling import survey_samples, take_turns
from harness.types import Message, Request, Sample, Text

ASK = Request(messages=(Message(role="user", content=(Text(text="?"),)),))


def sample(number: int, category: str = "a", cluster: str = "") -> Sample:
    return Sample(id=str(number), split="s", request=ASK, category=category, cluster=cluster)


SAMPLES = [sample(n, "abc"[n % 3], f"c{n // 2}") for n in range(60)]


def test_without_a_limit_everything_is_taken() -> None:
    found = survey_samples(SAMPLES, None)
    assert (found.samples, found.found, found.taken) == (60, 60, None)
    assert all(found.takes(each) for each in SAMPLES)


def test_a_limit_counts_clusters_and_takes_each_whole() -> None:
    found = survey_samples(SAMPLES, 7)
    taken = [each for each in SAMPLES if found.takes(each)]
    assert len({each.cluster for each in taken}) == 7
    assert found.samples == len(taken) == 14


def test_a_sample_without_a_cluster_is_its_own() -> None:
    assert survey_samples([sample(n) for n in range(10)], 4).samples == 4


@given(st.integers(1, 29), st.randoms(use_true_random=False))
def test_raising_the_limit_only_adds_whatever_the_order_of_the_file(limit: int, random: object) -> None:
    shuffled = list(SAMPLES)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    few, more = survey_samples(SAMPLES, limit).taken, survey_samples(shuffled, limit + 1).taken
    assert few is not None
    assert more is not None
    assert few < more


def test_categories_take_turns() -> None:
    clusters = [(f"c{n}", "abc"[n % 3]) for n in range(30)]
    first = list(take_turns(clusters))[:9]
    assert Counter(dict(clusters)[cluster] for cluster in first) == {"a": 3, "b": 3, "c": 3}


def test_a_category_that_runs_out_leaves_its_turns_to_the_others() -> None:
    clusters = [("only", "a"), *((f"c{n}", "b") for n in range(5))]
    assert sorted(take_turns(clusters)) == sorted(name for name, _ in clusters)
