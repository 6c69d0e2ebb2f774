"""A placebo has its objective's weights, sequence by sequence, wherever the sequences lie."""

import torch

from vcore_verl.objectives import Tokens, Weighting, shuffled

LENGTHS = (40, 0, 25, 60)
WEIGHTS_T = torch.arange(float(sum(LENGTHS))) + 1


def packed(order: list[int], seed: int = 3) -> tuple[Weighting, Tokens]:
    """The sequences `order` of the batch as one micro-batch."""
    counts = torch.tensor([LENGTHS[index] for index in order])
    weights_T = torch.cat([WEIGHTS_T.split(LENGTHS)[index] for index in order])
    placed = Tokens(
        loss_T=torch.ones(len(weights_T)),
        cu_seqlens_S1=torch.nn.functional.pad(counts.cumsum(0), (1, 0)),
        example_S=torch.tensor(order) + 100,
        answer_T=torch.zeros(len(weights_T), dtype=torch.bool),
        seed=seed,
    )
    return Weighting(weights_T, alpha_S=torch.ones(len(order))), placed


def rows(order: list[int], step: int = 5, seed: int = 3) -> dict[int, list[float]]:
    weighting = shuffled(*packed(order, seed), step)
    counts = [LENGTHS[index] for index in order]
    return {index: row.tolist() for index, row in zip(order, weighting.weights_T.split(counts), strict=True)}


def test_the_weights_are_a_permutation_within_each_sequence():
    found = rows([0, 1, 2, 3])
    for index, row in enumerate(WEIGHTS_T.split(LENGTHS)):
        assert sorted(found[index]) == row.tolist()
    assert found[0] != WEIGHTS_T.split(LENGTHS)[0].tolist()


def test_they_do_not_depend_on_the_layout():
    together = rows([0, 1, 2, 3])
    assert rows([3, 0]) | rows([2, 1]) == together


def test_they_differ_by_step_and_by_seed():
    assert rows([0]) == rows([0])
    assert rows([0]) != rows([0], step=6)
    assert rows([0]) != rows([0], seed=4)


def test_every_weight_comes_to_every_place_equally_often():
    weighting, placed = packed([2])
    first = torch.stack([shuffled(weighting, placed, step).weights_T[0] for step in range(2000)])
    # 25 places of 80 expected: chi square of 24 degrees of freedom, 99.9 % below 51.2.
    counts = torch.bincount(first.long() - 41, minlength=25)
    assert ((counts - 80.0) ** 2 / 80.0).sum() < 51.2


def test_the_factor_of_each_sequence_stays_known():
    assert shuffled(*packed([0, 2]), step=1).alpha_S.tolist() == [1.0, 1.0]
