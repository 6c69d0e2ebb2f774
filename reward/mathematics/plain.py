"""math_verify as verl's own reward calls it (verl 0.9.1, utils/reward_score/math_verify.py:43-56), for numbers that are
to stand beside published ones. Nothing trains with it. For worker processes only, as `reward.mathematics.symbolic`.
"""

from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse, verify

_GOLD = (LatexExtractionConfig(),)
_RESPONSE = (ExprExtractionConfig(), LatexExtractionConfig())


def grade_plainly(golds: list[str], response: str) -> str:
    """`correct` or `wrong` for a whole response, of which math_verify chooses the answer itself, boxed or not.

    Its own limits of 5 s each for parsing and comparing are in force: they need the main thread, which a worker has.
    """
    found = parse(response, _RESPONSE)
    for gold in golds:
        expected = parse(rf"\boxed{{{gold}}}", _GOLD)
        if any(verify(one, other) for other in found for one in expected):
            return "correct"
    return "wrong"
