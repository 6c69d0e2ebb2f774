from tests.config.test_objectives import POWER
from vcore_verl.report.style import styles

INITS = ("sft", "dft", "iw_sft", "random", "vcore", "none")


def looks(*inits: str, files: dict[str, str] | None = None) -> dict[str, tuple[str, str]]:
    found = styles([(init, "grpo") for init in inits], files or {})
    return {init: (style.colour, style.marker) for (init, _), style in found.items()}


def test_an_objective_looks_as_it_declares():
    assert looks(*INITS) == {
        "sft": ("#0072B2", "s"),
        "dft": ("#009E73", "^"),
        "iw_sft": ("#CC79A7", "D"),
        "random": ("#E69F00", "v"),
        "vcore": ("#D55E00", "o"),
        "none": ("#404040", "P"),
    }


def test_new_arms_and_variants_never_look_alike():
    new = [f"vcore+kl{number}" for number in range(20)]
    found = looks(*INITS, "vcore_paper", "mine", *new)
    assert len(set(found.values())) == len(found)
    assert len({colour for colour, _ in found.values()}) > 10


def test_the_order_of_the_arms_changes_nothing():
    assert looks("mine", "vcore+a", "sft") == looks("sft", "vcore+a", "mine")


def test_an_objective_of_ones_own_looks_as_its_file_declares(tmp_path):
    file = tmp_path / "power.py"
    file.write_text(POWER.replace("compared=True", "colour='#123456', marker='h'"))
    assert looks("power", "sft", files={"power": str(file)})["power"] == ("#123456", "h")
    file.unlink()
    assert looks("power", files={"power": str(file)})["power"] != ("#123456", "h")


def test_of_two_that_declare_the_same_one_is_given_another(tmp_path):
    file = tmp_path / "power.py"
    file.write_text(POWER.replace("compared=True", "colour='#0072B2', marker='s'"))
    found = looks("power", "sft", files={"power": str(file)})
    assert found["power"] != found["sft"]


def test_another_algorithm_is_paler():
    found = styles([("sft", "grpo"), ("sft", "dapo")], {})
    assert (found["sft", "grpo"].alpha, found["sft", "dapo"].alpha) == (1.0, 0.5)
    assert found["sft", "grpo"].colour == found["sft", "dapo"].colour


def test_several_other_algorithms_have_a_line_each():
    rls = ("grpo", "dapo", "nft", "raft_pp", "rloo", "spo_mask")
    found = styles([("sft", rl) for rl in rls], {})
    assert len({str(found["sft", rl].line) for rl in rls if rl != "dapo"}) == len(rls) - 1
