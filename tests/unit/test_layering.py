"""Scope: who may import whom, and that the linter really holds it."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
LIBRARY = REPOSITORY / "src" / "openmofi"
HEAVY = ["torch", "open_clip", "mlflow", "onnxruntime", "faiss", "transformers", "pyarrow", "kfp"]


def modules() -> list[Path]:
    found = sorted(LIBRARY.rglob("*.py"))
    assert len(found) > 40
    return found


def imported(module: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


@pytest.mark.parametrize("package", ["kfp", "kubernetes", "components", "pipelines"])
def test_the_library_does_not_know(package: str) -> None:
    guilty = [
        str(module.relative_to(LIBRARY))
        for module in modules()
        if any(name.split(".")[0] == package for name in imported(module))
    ]
    assert guilty == []


def test_only_storage_talks_to_the_object_store() -> None:
    users = [m.name for m in modules() if any(n.split(".")[0] == "minio" for n in imported(m))]
    assert sorted(users) == [
        "storage_s3.py",
        "storage_s3_credentials.py",
        "storage_s3_errors.py",
    ]


@pytest.mark.parametrize("line", ["import kfp", "from kfp import dsl", "import kubernetes.client"])
def test_the_linter_refuses_it_in_the_library_and_allows_it_outside(line: str) -> None:
    def problems(path: str) -> str:
        command = [sys.executable, "-m", "ruff", "check", "--select", "TID251", "--no-cache"]
        return subprocess.run(
            [*command, "--stdin-filename", path, "-"],
            input=f"{line}\n",
            capture_output=True,
            text=True,
            check=False,
            cwd=REPOSITORY,
        ).stdout

    assert "TID251" in problems("src/openmofi/ingest/new_module.py")
    assert "TID251" not in problems("components/new_step/component.py")
    assert "TID251" not in problems("pipelines/new_pipeline.py")


def test_configurations_are_cheap_to_import() -> None:
    names = [".".join(m.relative_to(LIBRARY.parent).with_suffix("").parts) for m in modules()]
    configs = [name for name in names if name.endswith(".config")]
    assert len(configs) >= 8
    program = (
        f"import importlib, sys\nfor name in {configs}: importlib.import_module(name)\n"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "[]"


def test_no_module_reads_parquet_bytes_past_records() -> None:
    # pyarrow.parquet.read_table on bytes aborts the process at its end; from_parquet does not.
    guilty = [
        f"{module.relative_to(LIBRARY)}:{node.lineno}"
        for module in modules()
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).endswith(("pq.read_table", "parquet.read_table"))
        and any(word in ast.unparse(node) for word in ("BytesIO", "BufferReader", "py_buffer"))
    ]
    assert guilty == []


def test_steps_that_may_find_all_work_done_load_no_encoder_library() -> None:
    """A re-run pays seconds for each of them otherwise."""
    steps = ["models.importing", "textregions.detect"]
    steps += [f"labeling.{name}" for name in ("embed", "score", "masked")]
    lines = [*(f"import openmofi.{step}" for step in steps), "import sys"]
    probe = "print(sorted({'torch', 'open_clip', 'onnxruntime', 'cv2'} & sys.modules.keys()))"
    done = subprocess.run(
        [sys.executable, "-c", "\n".join([*lines, probe])],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"


def test_evaluation_sets_have_one_reader_which_knows_nobody_that_uses_it() -> None:
    """Else a set that is evaluated on is not the one that training data were kept clear of."""
    room = LIBRARY / "evaluation_data"
    inside = sorted(room.glob("*.py"))
    assert len(inside) > 5
    allowed = ("errors", "evaluation_data", "images", "inputs", "keys", "progress")
    known = {n.split(".")[1] for m in inside for n in imported(m) if n.startswith("openmofi.")}
    assert known <= set(allowed)
    outside = [m for m in modules() if room not in m.parents]
    outside += sorted((REPOSITORY / "pipelines").glob("*.py"))
    readers = ("read_class_folders", "read_gpr1200", "read_imagenet")  # of one layout each
    assert [m.name for m in outside if any(r in m.read_text("utf-8") for r in readers)] == []
    users = [m.name for m in outside if "read_evaluation_data(" in m.read_text("utf-8")]
    assert {"job.py", "preflight.py", "run.py"} <= set(users)
