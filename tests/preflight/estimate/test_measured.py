import pytest

from vcore_verl.preflight.estimate.architecture import PUBLISHED
from vcore_verl.preflight.estimate.measured import measured
from vcore_verl.sft.gpu_check import record
from vcore_verl.sft.gpu_check.record import Step
from vcore_verl.sft.gpu_check.sizes import SIZES

# Seconds of a step at 4,096 tokens: forward 0.1, so that SFT is 0.3, and a probe's gradient 0.32 on as many sequences.
DERIVATIVES = {"jvp": 0.25, "central": 0.2, "forward": 0.1}


def steps(tokens: int, scale: float) -> list[Step]:
    found = [Step(tokens, None, 0.3 * scale, 0)]
    for name, derivative in DERIVATIVES.items():
        for share in (1, 8):
            found.append(Step(tokens, record.label(name, share), (0.3 + 0.32 / share + derivative) * scale, 0))
    return found


def write(*steps: Step) -> None:
    record.write("NVIDIA H100 80GB HBM3", {}, [], steps, SIZES["cuda"])


def test_speed_and_cost_of_derivatives_are_those_of_the_largest_batch_with_room_for_all():
    no_room = [*steps(16384, 4.0)[:-1], Step(16384, record.label("forward", 8), None, None)]
    write(*steps(4096, 1.0), *steps(8192, 2.0), *no_room)
    found = measured("H100-80GB")
    assert found is not None
    flops = PUBLISHED["Qwen/Qwen3-0.6B"].forward_flops(8192 / 8)
    assert found.operations == pytest.approx(8192 * flops / 0.2)
    assert found.derivatives == pytest.approx({"jvp": 2.5, "central": 2.0, "forward": 1.0})


def test_another_card_and_one_too_small_for_all_steps_have_no_figures():
    write(*steps(4096, 1.0)[:3])
    assert measured("H100-80GB") is None
    assert measured("H200") is None
