"""Benchmarks of programming, prepared from the samples, and programs that the jail runs."""

import json
import shutil

import pyarrow.parquet as pq
import pytest

from reward import compute_score
from reward.code import store
from vcore_verl.config.recipe import RecipeError, load
from vcore_verl.data.benchmarks.catalogue import BENCHMARKS
from vcore_verl.data.benchmarks.prepare import prepare
from vcore_verl.data.benchmarks.programs import stored
from vcore_verl.data.code import judging, ojbench
from vcore_verl.data.code.problem import CodeProblem
from vcore_verl.data.hub import DataError
from vcore_verl.data.published import SAMPLES, mirror_folder
from vcore_verl.data.test_sets import RECORD, prepare_test_sets
from vcore_verl.runs.layout import Run

DARK = """```python
class Solution:
    def longestDark(self, lamps: List[int]) -> int:
        return max(map(len, "".join(map(str, lamps)).split("1")))
```"""
SALT = """```python
n, k, *weights = map(int, open(0).read().split())
print(sum(sorted(weights)[k:]))
```"""
SALT_CPP = """```cpp
#include <bits/stdc++.h>
int main() {
    int n, k;
    std::cin >> n >> k;
    std::vector<long long> weights(n);
    for (auto &weight : weights) std::cin >> weight;
    std::sort(weights.begin(), weights.end());
    std::cout << std::accumulate(weights.begin() + k, weights.end(), 0LL);
}
```"""
BELLS_CPP = """```cpp
#include <iostream>
int main() {
    std::string row;
    std::cin >> row;
    bool whole = true;
    for (int i = 1; i < (int)row.size(); i++) whole &= row[i] != row[i - 1] && (i < 2 || row[i] != row[i - 2]);
    std::cout << (whole ? "whole" : "cracked");
}
```"""
DARK_CPP = """```cpp
class Solution {
public:
    int longestDark(vector<int>& lamps) {
        int longest = 0, dark = 0;
        for (int lamp : lamps) longest = max(longest, dark = lamp ? 0 : dark + 1);
        return longest;
    }
};
```"""
SOLVED = {  # a problem, a right program, and what makes it wrong
    "livecodebench": ("livecodebench-9001", DARK, ("max", "min")),
    "livecodebench_window": ("livecodebench-9001", DARK, ("max", "min")),
    "livecodebench_cpp": ("livecodebench-abc904_a", BELLS_CPP, (" && (i < 2 || row[i] != row[i - 2])", "")),
    "ojbench_cpp": ("ojbench-demo2024_B-cpp", SALT_CPP, ("() + k", "()")),
    "ojbench_python": ("ojbench-demo2024_B-python", SALT, ("[k:]", "")),
}
CHECKER = "it needs the checker bridged (files=checker.cpp)"


def recipe_with(tmp_path, *words, mirror=SAMPLES):
    sampled = [f"data.mirror={mirror}", "evaluation.max_prompts=12", f"output_dir={tmp_path}"]
    return load("qwen3_4b", [*sampled, *words])


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    recipe = recipe_with(tmp_path_factory.mktemp("runs"), f"evaluation.datasets=[{','.join([*SOLVED, 'aime'])}]")
    run = Run(recipe)
    prepare_test_sets(recipe, run, {})
    return run


def rows_of(run, name):
    rows = pq.read_table(run.data / f"{name}.parquet").to_pylist()
    return {row["extra_info"]["prompt_id"]: row for row in rows}


def status(run, row, response):
    truth = row["reward_model"]["ground_truth"]
    return compute_score(row["data_source"], response, truth, tests=str(run.tests))["status"]


@pytest.mark.parametrize("name", SOLVED)
def test_programs_are_run_on_the_tests_of_their_problem(run, name):
    problem, right, (old, new) = SOLVED[name]
    row = rows_of(run, name)[problem]
    assert row["ability"] == "code" and len(json.dumps(row)) < 3000
    assert status(run, row, right) == "correct"
    assert old in right and status(run, row, right.replace(old, new)) == "wrong"
    assert status(run, row, "I do not know.") == "no_answer"


def test_cpp_functions_are_called_with_the_arguments_of_the_tests(run):
    row = rows_of(run, "livecodebench_cpp")["livecodebench-9001"]
    assert status(run, row, DARK_CPP) == "correct"
    assert status(run, row, DARK_CPP.replace("dark + 1", "1")) == "wrong"


def test_livecodebench_asks_with_a_system_message(run):
    rows = rows_of(run, "livecodebench").values()
    assert all([message["role"] for message in row["prompt"]] == ["system", "user"] for row in rows)
    cpp = rows_of(run, "livecodebench_cpp").values()
    assert all([message["role"] for message in row["prompt"]] == ["user"] for row in cpp)


def test_the_window_is_a_part_of_the_release(run):
    everything, window = (rows_of(run, name) for name in ("livecodebench", "livecodebench_window"))
    assert (len(everything), len(window)) == (6, 4)
    assert all(everything[problem]["reward_model"] == row["reward_model"] for problem, row in window.items())


def test_problems_that_cannot_be_judged_stay_fail_and_are_counted(run):
    record = json.loads((run.data / RECORD).read_text())
    assert {name: made["unjudged"] for name, made in record.items() if "unjudged" in made} == {
        "ojbench_cpp": {CHECKER: 1},
        "ojbench_python": {CHECKER: 1},
    }
    assert record["ojbench_cpp"]["rows"] == 4
    row = rows_of(run, "ojbench_cpp")["ojbench-demo2024_C-cpp"]
    assert json.loads(row["reward_model"]["ground_truth"])["tests"] == ""
    assert status(run, row, SALT_CPP) == "wrong" and status(run, row, "none") == "no_answer"


@pytest.mark.parametrize("name", SOLVED)
def test_a_sample_is_no_whole_benchmark(tmp_path, name):
    expected, sampled = BENCHMARKS[name].size, 6 if name == "livecodebench" else 4
    with pytest.raises(DataError, match=f"'{name}' needs {expected} problems, the rows hold {sampled}"):
        prepare(BENCHMARKS[name], tmp_path / "out.parquet", recipe_with(tmp_path, "evaluation.max_prompts=null"))
    assert not (tmp_path / "out.parquet").exists()


def test_functions_are_compared_with_the_sets_own_solutions(tmp_path):
    run = Run(recipe_with(tmp_path))
    prepare(BENCHMARKS["humanevalplus"], run.data / "humanevalplus.parquet", run.recipe)
    row = rows_of(run, "humanevalplus")["evalplus-HumanEval/900"]
    right = "def rising_tide(levels):\n    return sum(a > max([*levels[:i], a - 1]) for i, a in enumerate(levels))"
    assert status(run, row, f"```python\n{right}\n```") == "correct"
    assert status(run, row, f"```python\n{right.replace('- 1', '')}\n```") == "wrong"


def test_a_solution_that_fails_its_own_tests_here_leaves_a_problem_that_is_not_judged(tmp_path, monkeypatch):
    monkeypatch.setattr(judging, "values", lambda recipe: lambda *asked: ["7"] * len(asked[-1]))
    unjudged = prepare(BENCHMARKS["mbppplus"], tmp_path / "out.parquet", recipe_with(tmp_path))
    assert unjudged == {"its own solution does not pass its tests here": 4}


def test_ojbench_needs_the_folders_of_its_copy(tmp_path):
    shutil.copytree(mirror_folder(SAMPLES) / ojbench.HUB_ID, tmp_path / ojbench.HUB_ID)
    shutil.rmtree(tmp_path / ojbench.HUB_ID / "ICPC")
    with pytest.raises(DataError, match=r"ICPC/demo2024_B/init\.yml is missing; copy He-Ren/OJBench_testdata whole"):
        prepare(BENCHMARKS["ojbench_cpp"], tmp_path / "out.parquet", recipe_with(tmp_path, mirror=tmp_path))


def test_tests_that_cannot_be_stored_are_refused_with_their_problem(tmp_path):
    with pytest.raises(DataError, match="abc1: a problem without tests accepts every program"):
        stored(CodeProblem("abc1", "", [], ()), tmp_path)


def test_evaluation_tests_may_be_larger_than_those_of_training(tmp_path):
    problem = CodeProblem("abc1", "", [], (store.Test("1" * 9_000_000, "2"),))
    assert json.loads(stored(problem, tmp_path).gold)["num_tests"] == 1


def test_each_row_read_keeps_the_watchdog_waiting(tmp_path):
    read = []
    prepare(BENCHMARKS["livecodebench_window"], tmp_path / "out.parquet", recipe_with(tmp_path), lambda: read.append(1))
    assert len(read) == 6


def test_a_benchmark_of_programs_brings_the_checks_of_programs_to_a_recipe_of_mathematics(tmp_path, monkeypatch):
    jailed = recipe_with(tmp_path, "evaluation.datasets=[aime,ojbench_cpp]", "code.jail=auto")
    assert shutil.which("g++") is None or judging.check(jailed).startswith("run in a jail of kind ")
    with pytest.raises(RecipeError, match=r"code\.jail would be ignored: the recipe has no problems of programming"):
        recipe_with(tmp_path, "code.jail=auto")
    with pytest.raises(RecipeError, match=r"code\.max_tests would be ignored: RL runs no programs, and evaluation"):
        recipe_with(tmp_path, "evaluation.datasets=[aime,ojbench_cpp]", "code.max_tests=3")
    monkeypatch.setattr(judging, "which", lambda name: None)
    with pytest.raises(RecipeError, match=r"evaluation\.datasets=ojbench_cpp needs g\+\+, which is not on the PATH"):
        judging.check(jailed)
    assert judging.check(recipe_with(tmp_path, "evaluation.datasets=[livecodebench]")).startswith("run in a jail")


def test_the_names_of_cpp_benchmarks_say_so():
    cpp = {name for name, benchmark in BENCHMARKS.items() if benchmark.domain == "code" and name.endswith(judging.CPP)}
    assert cpp == {"livecodebench_cpp", "ojbench_cpp"}
