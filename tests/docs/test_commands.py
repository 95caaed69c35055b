"""Scope: README.md and docs/*.md: each command of ours is one that its parser takes."""

import itertools
import re
from pathlib import Path

import pytest

from openmofi.cli import build_parser
from pipelines.__main__ import _parser as pipelines_parser
from stack.__main__ import _parser as stack_parser
from support.runbooks import blocks, commands

REPOSITORY = Path(__file__).parents[2]
PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
PARSERS = {
    ("openmofi",): build_parser,
    ("python", "-m", "openmofi"): build_parser,
    ("python", "-m", "pipelines"): pipelines_parser,
    ("python", "-m", "stack"): stack_parser,
}
VARIABLE = re.compile(r"[A-Z_]+=")
ENDS = {"|", "&&", "&", ">"}


def ours(path):
    """Parser and words of each command; what stands in brackets may be given, and is taken."""
    for block in blocks(path):
        if block.language not in {"sh", "bash"}:
            continue
        for words in commands(block):
            words = itertools.dropwhile(VARIABLE.match, words)
            words = itertools.takewhile(lambda word: word not in ENDS, words)
            words = [re.sub(r"^\[|\]$", "", word) for word in words]
            for start, parser in PARSERS.items():
                if tuple(words[: len(start)]) == start:
                    yield f"{block.place}: {' '.join(words)}", parser, words[len(start) :]


COMMANDS = [command for path in PAGES for command in ours(path)]
PLACES = [place for place, _, _ in COMMANDS]


def test_the_pages_have_commands():
    assert len(COMMANDS) >= 80


@pytest.mark.parametrize(("parser", "words"), [one[1:] for one in COMMANDS], ids=PLACES)
def test_a_command_is_understood(parser, words):
    parser().parse_args(words)  # it ends the test if it is not
