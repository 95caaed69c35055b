"""Scope: docker/: the shape of the Dockerfiles, and what reaches a build."""

import re
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
FILES = ("base", "curation", "training")
EACH = pytest.mark.parametrize("name", FILES)


def instructions(name: str) -> list[tuple[str, str]]:
    """Instructions with their arguments, without comments, lines joined."""
    text = (REPOSITORY / "docker" / f"{name}.Dockerfile").read_text()
    lines = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ").splitlines()
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines) if word]


def stages(name: str) -> list[list[tuple[str, str]]]:
    found: list[list[tuple[str, str]]] = []
    for word, rest in instructions(name):
        if word == "FROM":
            found.append([])
        if found:
            found[-1].append((word, rest))
    return found


@EACH
def test_the_last_stage_ends_as_a_numbered_user_who_is_not_root(name: str) -> None:
    users = [rest for word, rest in stages(name)[-1] if word == "USER"]
    assert re.fullmatch(r"[1-9]\d*", users[-1])


@EACH
def test_no_image_is_named_by_a_tag_that_moves(name: str) -> None:
    given = dict(rest.split("=", 1) for word, rest in instructions(name) if "=" in rest)
    own = {rest.split()[-1] for word, rest in instructions(name) if " AS " in rest}
    sources = [rest.split()[0] for word, rest in instructions(name) if word == "FROM"]
    assert sources
    for source in sources:
        tag = given[source[2:-1]] if source.startswith("${") else source
        assert source in own or (":" in tag and not tag.endswith(":latest")), source


@EACH
def test_nothing_is_added_from_elsewhere(name: str) -> None:
    assert "ADD" not in {word for word, _ in instructions(name)}
    text = "\n".join(rest for _, rest in instructions(name))
    assert not re.search(r"https?://|index-url|trusted-host|curl |wget ", text)


@EACH
def test_no_argument_or_variable_looks_like_a_secret(name: str) -> None:
    names = " ".join(rest for word, rest in instructions(name) if word in ("ARG", "ENV"))
    assert not re.search(r"PASSW|SECRET|TOKEN|CREDENTIAL|_KEY|PROXY", names, re.IGNORECASE)


def ignored(path: str) -> bool:
    """As the engines do: the last rule that meets a path or a folder above it."""
    found = False
    parents = [path, *(str(parent) for parent in Path(path).parents if str(parent) != ".")]
    for line in (REPOSITORY / ".dockerignore").read_text().splitlines():
        rule = line.removeprefix("!").removeprefix("**/")
        anywhere = line.removeprefix("!").startswith("**/")
        names = [Path(p).name for p in parents] if anywhere else parents
        # A star stops at a slash.
        if line and line[0] != "#":
            met = any(fnmatch(n, rule) and n.count("/") == rule.count("/") for n in names)
            found = line[0] != "!" if met else found
    return found


@EACH
def test_what_is_copied_is_there_and_not_ignored(name: str) -> None:
    copied = [
        source
        for word, rest in instructions(name)
        if word == "COPY" and "--from=" not in rest
        for source in rest.split()[:-1]
    ]
    assert copied
    for source in copied:
        assert (REPOSITORY / source).exists(), source
        assert not ignored(source), source


@pytest.mark.parametrize(
    "path",
    [
        *(".git/config", "build/demo-root/a", ".venv/bin/pip", ".venv-s3/x", "stack.env"),
        *("build/stack/pipeline.env", "tests/conftest.py", "docs/stack.md", "src/a/pipeline.env"),
        *("src/openmofi/__pycache__/a.pyc", "docker/describe.sh"),
    ],
)
def test_what_no_image_needs_stays_out_of_the_build(path: str) -> None:
    assert ignored(path)


@pytest.mark.parametrize("name", ["curation", "training"])
def test_an_image_names_its_commit_last(name: str) -> None:
    words = [word for word, _ in stages(name)[-1]]
    assert words[-3:] == ["ARG", "ENV", "LABEL"]
    assert 'org.opencontainers.image.revision="${GIT_COMMIT}"' in stages(name)[-1][-1][1]


def test_both_images_start_from_the_same_one() -> None:
    version = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]
    for name in ("curation", "training"):
        assert ("ARG", f"SHARED=openmofi-base-python:{version}") in instructions(name)
        assert stages(name)[-1][0] == ("FROM", "${SHARED}")
