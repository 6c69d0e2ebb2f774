"""Published programming problems and solutions: readers of their rows, and their prompts.

- `problem`        a problem with its tests, as every reader makes it
- `templates`      the prompts for programs
- `statements`     the statements that OpenCodeReasoning-2 lacks, by position in four other sets
- `opencode`       traces: OpenCodeReasoning 1 and 2, VCORE-data
- `deepcoder`      problems for RL, with reference solutions
- `livecodebench`  LiveCodeBench and its C++ edition; `private_tests` decodes its tests without running anything
- `ojbench`        OJBench: statements, tests in archives, checkers
- `evalplus`       HumanEval+ and MBPP+
- `headers`        of functions in Python programs

Nothing here runs a program: where one has to be run, a function that does is passed in. Imports no torch.
"""
