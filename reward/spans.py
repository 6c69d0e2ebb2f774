"""Where the answer is in a response, by domain. All that SFT needs of a domain, apart from the graders so that changing
one does not make SFT's results outdated (`vcore_verl.pipeline.code`)."""

from collections.abc import Callable

from reward.code.blocks import program_span
from reward.mathematics.extraction import answer_span

# The characters [start, end) of a response that the domain's `score` reads as its answer; None if it has none.
ANSWER_SPANS: dict[str, Callable[[str], tuple[int, int] | None]] = {"math": answer_span, "code": program_span}
