"""The benchmarks of programming: LiveCodeBench and OJBench, which the paper has (Table 1), and EvalPlus's two sets."""

from collections.abc import Callable
from functools import partial

from reward.code.blocks import Language
from vcore_verl.config.recipe import Recipe
from vcore_verl.data.benchmarks.declaration import Alive, CodeBenchmark
from vcore_verl.data.code import evalplus, judging, livecodebench, ojbench
from vcore_verl.data.code.problem import CodeProblem
from vcore_verl.data.hub import dataset_folder
from vcore_verl.data.published import Published, Row, mirror_folder


def _livecodebench(
    name: str,
    published: Published,
    problem: Callable[[Row], CodeProblem],
    size: int,
    keep: Callable[[Row], bool],
    revision: str | None = None,
) -> CodeBenchmark:
    return CodeBenchmark(
        name=name,
        sources=(published,),
        columns=livecodebench.COLUMNS,
        statement_columns=livecodebench.STATEMENT_COLUMNS,
        reader=lambda recipe, alive: problem,
        evaluated=livecodebench.evaluated,
        size=size,
        data_source="code/livecodebench",
        keep=keep,
        revision=revision,
    )


def _ojbench(language: Language) -> CodeBenchmark:
    def reader(recipe: Recipe, alive: Alive) -> Callable[[Row], CodeProblem]:
        mirror = mirror_folder(recipe.data.mirror)
        root = dataset_folder(ojbench.HUB_ID, alive) if mirror is None else mirror / ojbench.HUB_ID
        return partial(ojbench.problem, root=root)

    return CodeBenchmark(
        name=f"ojbench_{language}",
        sources=(ojbench.PUBLISHED,),
        columns=ojbench.COLUMNS,
        statement_columns=ojbench.COLUMNS,
        reader=reader,
        evaluated=ojbench.evaluated,
        size=ojbench.SIZE,
        data_source="code/ojbench",
        keep=lambda row: row["language"] == language,
    )


def _evalplus(
    name: str, published: Published, columns: tuple[str, ...], problem: Callable[..., CodeProblem], size: int
) -> CodeBenchmark:
    def reader(recipe: Recipe, alive: Alive) -> Callable[[Row], CodeProblem]:
        values = judging.values(recipe)
        return partial(problem, values=values, passes=judging.passes(recipe, every_test=True))

    return CodeBenchmark(
        name=name,
        sources=(published,),
        columns=columns,
        statement_columns=("task_id", "prompt"),
        reader=reader,
        evaluated=evalplus.evaluated,
        size=size,
        data_source="code/evalplus",
    )


CODE = (
    _livecodebench(
        "livecodebench",
        livecodebench.PYTHON,
        livecodebench.python_problem,
        livecodebench.SIZE,
        lambda row: True,
        livecodebench.REVISION,
    ),
    _livecodebench(
        "livecodebench_window",
        livecodebench.PYTHON,
        livecodebench.python_problem,
        livecodebench.WINDOW_SIZE,
        livecodebench.in_window,
        livecodebench.REVISION,
    ),
    _livecodebench(
        "livecodebench_cpp",
        livecodebench.CPP,
        livecodebench.cpp_problem,
        livecodebench.WINDOW_SIZE,
        livecodebench.in_window,
    ),
    _ojbench("cpp"),
    _ojbench("python"),
    _evalplus(
        "humanevalplus",
        evalplus.HUMANEVAL,
        evalplus.HUMANEVAL_COLUMNS,
        evalplus.humaneval_problem,
        evalplus.HUMANEVAL_SIZE,
    ),
    _evalplus("mbppplus", evalplus.MBPP, evalplus.MBPP_COLUMNS, evalplus.mbpp_problem, evalplus.MBPP_SIZE),
)
