"""The domains. A further one is a folder beside `mathematics` and a line here."""

from reward.code.domain import CODE
from reward.domain import Domain
from reward.mathematics import MATHEMATICS

DOMAINS = {domain.name: domain for domain in (MATHEMATICS, CODE)}
# Of all domains: verl requires the same keys in every row.
COSTS = tuple(f"reward_{name}" for domain in DOMAINS.values() for name in domain.costs)


def domain_of(data_source: str) -> Domain:
    """The domain of a data source: the one that claims the beginning of its name, else mathematics."""
    return next((domain for domain in DOMAINS.values() if data_source.startswith(domain.data_sources)), MATHEMATICS)
