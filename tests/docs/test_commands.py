"""The commands in README and docs: every verb accepts its words, and what a recipe asks for is resolved as a dry run.

docs/extending.md, whose commands need the files of the page, has a test of its own.
"""

import re
import shlex

import pytest

from vcore_verl import cli
from vcore_verl.config.composition import ROOT

PAGES = ["README.md", "recipes/README.md", "CONTRIBUTING.md", *(f"docs/{page.name}" for page in ROOT.glob("docs/*.md"))]
COMMAND = re.compile(r"^ *(bash scripts/(?:sft_then_grpo|compare)\.sh|python -m vcore_verl) (.*)$", re.MULTILINE)
VERBS = {"bash scripts/sft_then_grpo.sh": "run ", "bash scripts/compare.sh": "sweep ", "python -m vcore_verl": ""}


def commands() -> list[str]:
    """The words after the program, as users find them, without the files that are theirs."""
    found = set()
    for page in PAGES:
        for program, words in COMMAND.findall((ROOT / page).read_text()):
            found.add(VERBS[program] + words.partition(" # ")[0].replace("$seed", "0").strip())
    return sorted(command for command in found if "mine/" not in command and "$" not in command)


COMMANDS = commands()


@pytest.mark.parametrize("command", COMMANDS)
def test_a_documented_command_is_understood(command):
    cli._parse(shlex.split(command))


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.split()[0] in ("run", "sweep", "plan", "show")])
def test_a_documented_recipe_resolves(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = shlex.split(command)
    if words[0] in ("run", "sweep") and "--dry-run" not in words:
        words.append("--dry-run")
    assert cli.main(words) == 0, capsys.readouterr().err
    assert capsys.readouterr().out


def test_the_pages_hold_commands_of_every_verb():
    assert {command.split()[0] for command in COMMANDS} == set(cli._parsers()[1]) - {"view weights"}
