import io

import pytest
from rich.console import Console

from vcore_verl.config.recipe import load
from vcore_verl.preflight.estimate import print_plan
from vcore_verl.preflight.estimate.architecture import PUBLISHED
from vcore_verl.preflight.estimate.cost import GPUS, hours
from vcore_verl.preflight.estimate.measured import measured
from vcore_verl.preflight.estimate.settings import settings_of
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


def test_the_plan_takes_its_hours_of_a_checked_card_from_what_was_measured():
    recipe = load("qwen3_4b", ["init.probe.batch_size=32", "init.probe.derivative=jvp"])
    s = settings_of(recipe)

    def sft(name: str) -> dict[str, float]:
        (gpu,) = (gpu for gpu in GPUS if gpu.name == name)
        return {item.name: item.amount for item in hours(s, gpu)}

    def text() -> str:
        console = Console(width=200, file=io.StringIO(), record=True)
        print_plan(recipe, console)
        return " ".join(console.export_text().split())

    assumed, other = sft("H100-80GB"), sft("A100-80GB")
    assert "check_gpu.sh" not in text()
    write(*steps(8192, 2.0))
    found = measured("H100-80GB")
    assert found is not None
    slower = 0.35 * 989e12 / found.operations
    checked = sft("H100-80GB")
    assert checked["SFT"] == pytest.approx(slower * assumed["SFT"])
    assert checked["RL, update"] == pytest.approx(slower * assumed["RL, update"])
    assert checked["SFT, probe"] / checked["SFT"] == pytest.approx((3 + 2.5) / 3)
    assert sft("A100-80GB") == other
    assert "(as scripts/check_gpu.sh measured it on H100-80GB)" in text()
