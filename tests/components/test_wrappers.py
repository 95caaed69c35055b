"""Wrappers are thin: one function a file, no logic, nothing that a pod could not resolve."""

import ast
import re

import pytest

from openmofi.cli import build_parser
from pipelines.placement import STEPS
from support.wrapper_facts import FOLDER, steps, table_of, tree_of

ALL = dict(steps())
MAX_STATEMENTS = 12
MODULES = {"kfp", "components.images"}


def function_of(name: str) -> ast.FunctionDef:
    return next(node for node in tree_of(name).body if isinstance(node, ast.FunctionDef))


def test_every_step_has_a_wrapper_and_every_wrapper_a_place():
    assert len(ALL) == 17
    assert {name.replace("_", "-") for name in ALL} == set(STEPS)


@pytest.mark.parametrize("name", ALL)
def test_a_file_holds_one_function_named_like_its_folder(name):
    kinds = [type(node) for node in tree_of(name).body]
    assert set(kinds) == {ast.ImportFrom, ast.FunctionDef}
    assert kinds.count(ast.FunctionDef) == 1
    assert function_of(name).name == name
    assert ALL[name].name == name.replace("_", "-")


@pytest.mark.parametrize("name", ALL)
def test_module_scope_imports_kfp_and_images_only(name):
    imports = [node for node in tree_of(name).body if isinstance(node, ast.ImportFrom)]
    assert {node.module for node in imports} == MODULES


@pytest.mark.parametrize("name", ALL)
def test_a_body_is_short_and_has_no_branch_or_loop(name):
    body = function_of(name).body
    inside = [node for part in body for node in ast.walk(part)]
    assert len(body) <= MAX_STATEMENTS
    assert not any(
        isinstance(node, ast.If | ast.For | ast.While | ast.Try | ast.comprehension | ast.IfExp)
        for node in inside
    )


@pytest.mark.parametrize("name", ALL)
def test_a_body_calls_the_library_once_beside_the_summary(name):
    imported = [
        (node.module, node.names[0].name, node.names[0].asname)
        for node in ast.walk(function_of(name))
        if isinstance(node, ast.ImportFrom) and node.module.startswith("openmofi")
    ]
    assert ("openmofi.summary", "summarize", None) in imported
    assert [asname for _, _, asname in imported if asname] == ["run"]
    calls = [node for node in ast.walk(function_of(name)) if isinstance(node, ast.Call)]
    assert sum(isinstance(c.func, ast.Name) and c.func.id == "run" for c in calls) == 1


@pytest.mark.parametrize("name", ALL)
def test_defaults_are_literals(name):
    # A module constant would be copied as a bare name, and the pod would die of a NameError.
    for default in function_of(name).args.defaults:
        ast.literal_eval(default)


@pytest.mark.parametrize("name", ALL)
def test_nothing_is_installed_in_the_pod(name):
    container = ALL[name].component_spec.implementation.container
    assert container.image
    assert "pip install" not in " ".join([*container.command, *container.args])


@pytest.mark.parametrize("name", ALL)
def test_the_readme_shows_the_signature(name):
    assert table_of(ALL[name]) in (FOLDER / name / "README.md").read_text()


@pytest.mark.parametrize("name", ALL)
def test_the_readme_names_the_step_its_purpose_and_the_library_function(name):
    text = (FOLDER / name / "README.md").read_text()
    node = next(
        node
        for node in ast.walk(function_of(name))
        if isinstance(node, ast.ImportFrom) and node.names[0].asname == "run"
    )
    purpose = ast.get_docstring(function_of(name)).splitlines()[0]
    assert text.startswith(f"# {name}\n\n{purpose}")
    assert f"`{node.module}.{node.names[0].name}`" in text


@pytest.mark.parametrize("name", ALL)
def test_every_input_and_output_is_explained(name):
    rows = re.findall(r"^\| `\w+` \|.*\| (.*) \|$", table_of(ALL[name]), re.M)
    assert rows
    assert all(rows)


@pytest.mark.parametrize("name", ALL)
def test_the_command_in_the_readme_is_one_that_exists(name):
    text = (FOLDER / name / "README.md").read_text()
    block = re.search(r"```sh\n(.*?)\n```", text, re.S).group(1).replace("\\\n", " ")
    commands = [line.split() for line in block.splitlines() if line.startswith("openmofi ")]
    assert commands or block.startswith("python -c")
    for command in commands:
        build_parser().parse_args(command[1:])  # leaves with an error on anything unknown
