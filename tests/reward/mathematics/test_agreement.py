import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from math_verify.grader import verify
from math_verify.parser import ExprExtractionConfig, LatexExtractionConfig, parse

from reward import compute_score


def test_every_pair_is_decided_as_written_in_the_corpus(agreement):
    assert len(agreement) >= 1000
    with ThreadPoolExecutor(4) as threads:
        scores = list(threads.map(lambda pair: compute_score("math", pair.response, pair.gold), agreement))
    decided = list(zip(agreement, scores, strict=True))
    assert [pair for pair, score in decided if score["acc"] and not pair.equal] == []  # false positives
    assert [pair for pair, score in decided if pair.equal and not score["acc"]] == []  # false negatives
    assert all(score["status"] != "timeout" for score in scores)


def _plain_math_verify(pair) -> bool:
    """verl 0.9.1 utils/reward_score/math_verify.py:41-54, in this process."""
    golds = parse(f"\\boxed{{{pair.gold}}}", (LatexExtractionConfig(),))
    answers = parse(pair.response, (ExprExtractionConfig(), LatexExtractionConfig()))
    return any(verify(gold, answer) for gold in golds for answer in answers)


@pytest.mark.slow
def test_differences_from_plain_math_verify_are_those_marked_in_the_corpus(agreement):
    found = [pair for pair in agreement if _plain_math_verify(pair) != pair.equal]
    assert found == [pair for pair in agreement if pair.difference]


def test_readme_explains_every_kind_of_difference(agreement, repository):
    kinds = {pair.difference for pair in agreement} - {""}
    readme = (repository / "reward/mathematics/README.md").read_text()
    explained = re.findall(r"^\| `(\w+)` \| (\d+) \|", readme, re.MULTILINE)
    assert dict(explained) == {kind: str(sum(pair.difference == kind for pair in agreement)) for kind in kinds}
