"""A dual encoder becomes a model of the store, from a hub: its layout, its commit, no network."""

import os
import shutil
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from openmofi.cli import main
from openmofi.errors import InputError
from openmofi.models.importing import import_model
from openmofi.versions import read_manifest
from support.models import write_clip, write_model, write_siglip


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A hub's cache on a machine that is offline."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return tmp_path / "cache"


def into_cache(cache, folder):
    """What a hub's client leaves of the repository org/name, without its links."""
    repository = cache / "models--org--name"
    commit = "0123456789abcdef0123456789abcdef01234567"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    shutil.copytree(folder, repository / "snapshots" / commit)


@pytest.mark.parametrize("write", [write_clip, write_siglip, write_model])
def test_a_model_of_a_hub_is_that_of_its_folder(root, tmp_path, cache, write):
    folder = write(tmp_path / "source")
    into_cache(cache, folder)
    found = import_model(root, source="hf-hub:org/name")
    assert found == import_model(root, source=str(folder))
    assert read_manifest(found, "model").content["origin"]["source"] == "hf-hub:org/name"


def test_a_model_of_a_hub_is_imported_by_a_process_that_is_offline(root, tmp_path):
    """That reads its environment at the start, as people's do."""
    folder = write_siglip(tmp_path / "source")
    into_cache(tmp_path / "cache", folder)
    program = "import sys; from openmofi.cli import main; sys.exit(main(sys.argv[1:]))"
    command = ["models", "import", "--root", root, "--source", "hf-hub:org/name"]
    done = subprocess.run(
        [sys.executable, "-c", program, *command],
        env={**os.environ, "HF_HUB_CACHE": str(tmp_path / "cache"), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == import_model(root, source=str(folder))
    assert [line.partition(":")[0] for line in done.stderr.splitlines()] == ["import_model"] * 3


def test_a_repository_with_both_layouts_is_open_clips(root, tmp_path, cache):
    folder = write_clip(tmp_path / "source")
    write_model(folder)
    into_cache(cache, folder)
    uri = import_model(root, source="hf-hub:org/name")
    assert read_manifest(uri, "model").content["layout"] == "open_clip"


def test_pickled_weights_of_a_hub_are_taken_where_there_are_no_others(root, tmp_path, cache):
    folder = write_clip(tmp_path / "source")
    expected = import_model(root, source=str(folder))
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    into_cache(cache, folder)
    assert import_model(root, source="hf-hub:org/name") == expected


def test_a_repository_out_of_reach_is_told_in_one_line_with_a_way_out(root, cache, capsys):
    assert main(["models", "import", "--root", root, "--source", "hf-hub:org/name"]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("openmofi: model 'hf-hub:org/name' cannot be had (")
    assert last.endswith("without network, give a local folder as source")


def test_a_network_that_fails_does_not_decide_the_layout(root, monkeypatch):
    """A repository may hold both; which one is taken must not depend on luck."""
    from huggingface_hub.errors import LocalEntryNotFoundError

    def unreachable(*_, **__):
        raise LocalEntryNotFoundError("the hub is out of reach")

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", unreachable)
    with pytest.raises(InputError, match="the layout of model 'hf-hub:org/name' cannot be had"):
        import_model(root, source="hf-hub:org/name")


def test_a_repository_that_moves_meanwhile_is_taken_of_one_commit(root, tmp_path, monkeypatch):
    source = write_clip(tmp_path / "source")
    expected = import_model(root, source=str(source))
    torch.save(load_file(source / "model.safetensors"), source / "pytorch_model.bin")
    (source / "model.safetensors").unlink()
    heads = iter(["1" * 40, "2" * 40])

    def fetch(name, *, allow_patterns, revision=None):
        folder = tmp_path / "snapshots" / (revision or next(heads))
        folder.mkdir(parents=True, exist_ok=True)
        for pattern in allow_patterns:
            for path in source.glob(pattern):
                shutil.copy(path, folder)
        return str(folder)

    monkeypatch.setattr("openmofi.models.transformers_import._holds_open_clip", lambda name: False)
    monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
    assert import_model(root, source="hf-hub:org/name") == expected


def test_a_bare_hub_id_is_told_how_it_is_written(root):
    with pytest.raises(InputError, match=r"org/name \(a hub id is written hf-hub:org/name"):
        import_model(root, source="org/name")
