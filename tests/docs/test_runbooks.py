"""Scope: docs/runbooks: every block has its mark, and what cluster blocks name is there."""

import itertools
import re
import shutil
import subprocess

import pytest

from openmofi import __version__
from openmofi.cli import build_parser
from pipelines import placement
from pipelines.__main__ import _parser as pipelines_parser
from support.manifests import K8S, SECRETS, render
from support.runbooks import MARKS, RUNBOOKS, blocks, commands, runbooks

REPOSITORY = RUNBOOKS.parents[1]
TEXTS = {path: path.read_text() for path in runbooks()}
CLUSTER = [
    (block.place, words)
    for path in runbooks()
    for block in blocks(path)
    if block.mark == "cluster"
    for words in commands(block)
]
OBJECTS = {
    (one["kind"], one["metadata"]["name"])
    for name in ("local", "external-s3", "gpu", "restore", "kueue")
    for one in render(name)
} | {("Secret", name) for name in SECRETS}
KINDS = {
    "deployment": "Deployment", "job": "Job", "cronjob": "CronJob", "secret": "Secret",
    "configmap": "ConfigMap", "svc": "Service", "statefulset": "StatefulSet",
}  # fmt: skip
UNNAMED = {"node", "nodes", "pods", "resourcequota", "generic"}  # kinds without a name of ours
VERBS = {
    "apply", "cordon", "create", "delete", "drain", "get", "label", "logs", "port-forward",
    "rollout", "scale", "taint", "uncordon", "wait",
}  # fmt: skip
WITH_VALUE = {"-n", "-k", "-f", "-l", "-L", "-o"}
POOLS = {p.name for p in (placement.CPU, placement.GPU_INFERENCE, placement.GPU_TRAINING)}


def parses(parser, words):
    try:
        return parser.parse_args(words)
    except SystemExit:
        return None


def positional(words):
    """Words that are neither options nor values of short ones."""
    found, words = [], iter(words)
    for word in words:
        if word in WITH_VALUE:
            next(words)
        elif not word.startswith("-"):
            found.append(word)
    return found


def named_objects(words):
    """Kind and name of each object that a kubectl command names, `create job NAME` apart."""
    verb, *rest = positional(words)
    rest = rest[1:] if verb == "rollout" else rest
    found = [tuple(w.split("/", 1)) for w in rest if "/" in w and not w.startswith("openmofi/")]
    found += [tuple(w[7:].split("/", 1)) for w in words if w.startswith("--from=")]
    if rest and "/" not in rest[0] and rest[0] not in UNNAMED:
        name = rest[2] if rest[:2] == ["secret", "generic"] else rest[1]
        found.append((rest[0], name))
    return [one for one in found if one[1] != "$NODE"]


def kubectl_problem(words, made):
    """What is wrong with a kubectl command; ``made`` are the jobs that its runbook makes."""
    verb = positional(words)[0]
    if verb not in VERBS:
        return f"no verb that runbooks use: {verb}"
    if verb == "create" and positional(words)[1] == "job":
        made.add(("Job", positional(words)[2]))
    if verb in {"cordon", "uncordon", "drain"}:
        return "" if positional(words)[1] == "$NODE" else "not $NODE"
    for kind, name in named_objects(words):
        if (KINDS.get(kind), name) not in OBJECTS | made:
            return f"nothing makes {kind} {name}"
    for option, path in itertools.pairwise(words):
        if option == "-k" and path != "k8s/mine" and not (REPOSITORY / path).is_dir():
            return f"{path} is not there"
    pools = [w for w in words if w.startswith("openmofi/pool=")]
    wrong = [w for w in pools if w.partition("=")[2].partition(":")[0] not in POOLS]
    return f"no such pool: {wrong}" if wrong else ""


def image_problem(words):
    names = {f"openmofi-{kind}-python:{__version__}" for kind in ("base", "curation", "training")}
    ok = words[1] == "push" and words[2] in names and words[3] == f"registry.example/{words[2]}"
    return "" if ok else "not an image of `make images` at this version"


def make_problem(words):
    targets = re.findall(r"^([a-z][a-z-]*):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
    return "" if set(words[1:]) <= set(targets) else "no such target"


def pipelines_problem(words):
    found = parses(pipelines_parser(), words[3:])
    if found is None:
        return "not understood by python -m pipelines"
    config = getattr(found, "config", None)
    return "" if not config or (REPOSITORY / config).is_file() else f"{config} is not there"


def problem(words, made):
    """What is wrong with a command, or an empty string."""
    if words[0] == "kubectl":
        return kubectl_problem(words[1:], made)
    if words[0] == "openmofi":
        return "" if parses(build_parser(), words[1:]) else "not understood by openmofi"
    if words[:3] == ["python", "-m", "pipelines"]:
        return pipelines_problem(words)
    if words[0] == "export":
        return "" if words[1].partition("=")[0] in VARIABLES else "nobody reads that variable"
    if words[0] == "mlflow":
        return "" if words[1:3] == ["db", "upgrade"] and len(words) == 4 else "not db upgrade"
    if words[0] == "sh":
        return "" if (REPOSITORY / words[1]).is_file() else "no such script"
    checks = {"podman": image_problem, "make": make_problem}
    return checks[words[0]](words) if words[0] in checks else "a command that no test knows"


VARIABLES = set(
    re.findall(r"OPENMOFI_\w+_IMAGE", (REPOSITORY / "components" / "images.py").read_text())
)


def unmarked(path):
    """Where blocks stand that are neither output nor marked."""
    return [one.place for one in blocks(path) if one.language != "text" and one.mark not in MARKS]


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.stem)
def test_every_block_of_commands_has_a_mark(path):
    assert not unmarked(path)
    assert {block.language for block in blocks(path)} <= {"sh", "text"}
    assert TEXTS[path].count("```") == 2 * len(blocks(path))  # none that the pattern overlooks


@pytest.mark.parametrize("fence", ["sh", "bash", "sh run", "shell runs now"])
def test_a_block_without_a_mark_is_found(fence, tmp_path):
    (tmp_path / "x.md").write_text(f"words\n\n```{fence}\ntrue\n```\n")
    assert unmarked(tmp_path / "x.md") == ["x.md:3"]


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.stem)
def test_commands_for_a_cluster_are_understood_and_name_what_is_there(path):
    made = set()
    for place, words in CLUSTER:
        if place.startswith(f"{path.name}:"):
            assert not problem(words, made), f"{place}: {' '.join(words)}: {problem(words, made)}"


def test_every_runbook_has_commands():
    assert {place.partition(":")[0] for place, _ in CLUSTER} == {
        path.name for path in TEXTS
    } - {"README.md"}  # fmt: skip
    assert len(CLUSTER) > 60


@pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not installed")
def test_kubectl_knows_every_verb_and_option():
    """With --help it takes a command apart and then does nothing; an unknown option is an error."""
    shapes = {}  # a line for each combination of verb and options: kubectl takes its time
    for _, words in CLUSTER:
        if words[0] == "kubectl":
            options = {word.partition("=")[0] for word in words if word.startswith("-")}
            verb = positional(words[1:])[: 2 if {"create", "rollout"} & set(words) else 1]
            shapes[(*verb, *sorted(options))] = words
    assert len(shapes) > 15
    for words in [*shapes.values(), ["kubectl", "get", "pods", "--no-such-option"]]:
        done = subprocess.run([*words, "--help"], capture_output=True, text=True, check=False)
        known = "--no-such-option" not in words
        assert (done.returncode == 0) is known, f"{' '.join(words)}: {done.stderr}"


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.stem)
def test_links_lead_to_files_and_headings(path):
    for target in re.findall(r"\]\(([^)#]*)(?:#[\w-]+)?\)", TEXTS[path]):
        assert (path.parent / target).exists(), target
    for target, heading in re.findall(r"\]\(([^)#]+)#([\w-]+)\)", TEXTS[path]):
        lines = re.findall(r"^#+ (.*)$", (path.parent / target).read_text(), re.MULTILINE)
        anchors = {re.sub(r"[^\w -]", "", line.lower()).replace(" ", "-") for line in lines}
        assert heading in anchors, f"{target}#{heading}"


def test_the_list_names_every_runbook():
    listed = set(re.findall(r"\]\(([\w-]+\.md)\)", TEXTS[RUNBOOKS / "README.md"]))
    assert listed == {path.name for path in TEXTS} - {"README.md"}


def test_what_is_said_of_retries_is_what_steps_have():
    again = {name: need.retries for name, need in placement.STEPS.items() if need.retries}
    assert again == {"train-model": 5}  # gpu-pool.md: "up to five times", and no other step
    assert "up to five times" in TEXTS[RUNBOOKS / "gpu-pool.md"]


@pytest.mark.parametrize(
    "line",
    [
        "kubectl -n $NAMESPACE rollout status deployment/openmofi-none",
        "kubectl -n $NAMESPACE create job x --from=cronjob/openmofi-none",
        "kubectl -n $NAMESPACE create secret generic openmofi-none --from-env-file=x",
        "kubectl -n $NAMESPACE delete job openmofi-none",
        "kubectl apply -k k8s/none",
        "kubectl label node $NODE openmofi/pool=gpu-none",
        "kubectl explode node $NODE",
        "openmofi dataset publish",
        "python -m pipelines submit nothing --config configs/refresh.yaml",
        "python -m pipelines submit refresh --config configs/none.yaml",
        "podman push openmofi-none-python:0.1.0 registry.example/openmofi-none-python:0.1.0",
        "make none",
        "sh k8s/none.sh",
        "export OPENMOFI_NONE=1",
        "aws s3 sync a b",
    ],
)
def test_a_command_with_a_fault_is_refused(line):
    assert problem(line.split(), set())


def test_the_overlay_of_the_readers_own_is_told_of():
    assert "k8s/mine" in (K8S / "README.md").read_text()
