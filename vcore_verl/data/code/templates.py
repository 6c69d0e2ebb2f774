"""The prompts that ask for programs; that for C++ is the paper's, verbatim (appendix C.1)."""

import re

_CPP = """You are an expert competitive programmer. You will be given a problem statement, test case constraints, and \
example test inputs and outputs.
Please reason step by step about the solution (that must respect memory and time limits), then provide a complete \
implementation in c++17.
Your solution must read input from standard input (cin) and write output to standard output (cout).
Do not include any debug prints or additional output.
Put your final solution within a single code block:
```cpp
<your code here>
```

# Problem
{statement}

Now solve the problem and return the code."""

_PYTHON = (
    _CPP.replace("in c++17", "in Python 3")
    .replace("(cin)", "(input)")
    .replace("(cout)", "(print)")
    .replace("```cpp", "```python")
)

_FUNCTION = """You are an expert programmer. You will be given a problem statement and the header of a function.
Please reason step by step about the solution (that must respect memory and time limits), then provide a complete \
implementation in {language}, with the imports that it needs.
The function must have exactly this name and these parameters, and return its result. Do not print anything.
Put your final solution within a single code block:
```{fence}
{starter}
```

# Problem
{statement}

Now solve the problem and return the code."""

_STATEMENT = re.compile(
    r"You are an expert (?:competitive )?programmer\. You will be given a problem statement.*?\n# Problem\n"
    r"(?P<statement>.*)\n\nNow solve the problem and return the code\.\s*",
    re.DOTALL,
)
_LANGUAGES = {"python": "Python 3", "cpp": "c++17"}


def code_cpp(statement: str) -> str:
    """Appendix C.1, "Code CoT Training Data Template", used in evaluation as well (C.3)."""
    return _CPP.format(statement=statement.strip())


def code_python(statement: str) -> str:
    """The paper's template with Python in the place of C++."""
    return _PYTHON.format(statement=statement.strip())


def code_function(statement: str, starter: str, language: str = "python") -> str:
    """The paper's template for a function in the place of a program; `starter` is its header."""
    return _FUNCTION.format(
        language=_LANGUAGES[language], fence=language, starter=starter.strip("\n"), statement=statement.strip()
    )


def program(statement: str, language: str) -> str:
    """The template for programs in `language`."""
    return code_cpp(statement) if language == "cpp" else code_python(statement)


def statement_of(prompt: str) -> str:
    """The statement in `prompt` if it was made from one of these templates, else the prompt itself."""
    made = _STATEMENT.fullmatch(prompt)
    return (made["statement"] if made else prompt).strip()
