"""Scope: the card in a published model's folder: its code runs, and it changes no digest."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from openmofi.cli import main
from openmofi.config import parse_config
from openmofi.errors import InputError, StorageError
from openmofi.keys import hash_file, hash_json
from openmofi.models.backbones import create_backbone
from openmofi.models.encoder import load_encoder
from openmofi.models.publishing import publish_model as publish_folder
from openmofi.storage import local_folder, open_store
from openmofi.training.building import RunPlan, plan_run
from openmofi.training.card import read_card
from openmofi.training.config import TrainConfig
from openmofi.training.publish import publish_model
from openmofi.training.shards import open_shards
from openmofi.versions import Manifest, read_manifest, write_manifest
from support.training import (
    CLASSES,
    RUN_FACTS,
    make_samples,
    write_backbone,
    write_training_shards,
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("card")


@pytest.fixture(scope="module")
def backbone(place: Path) -> str:
    return write_backbone(place)


@pytest.fixture(scope="module")
def manifest(place: Path) -> Manifest:
    uri = write_training_shards(place / "root", make_samples(16, seed=1))
    return read_manifest(uri, "training_shards")


def plan_of(manifest: Manifest, backbone: str, objectives: str) -> RunPlan:
    settings = TrainConfig(backbone=backbone, objectives=objectives, max_steps=6, batch_size=4)
    return plan_run(settings, manifest, "a trial")


def facts_of(plan: RunPlan) -> dict[str, Any]:
    return {
        "recipe": plan.recipe,
        "config": plan.settings.semantic(),
        "training_shards": plan.manifest.digest,
        "dataset": plan.manifest.content["dataset"],
        "samples": 16,
        "classes": 8,
        "steps": 6,
        "epochs": 1.5,
    }


def publish(manifest: Manifest, backbone: str, objectives: str, **run_facts: Any) -> str:
    """As a finished run does, with fresh weights."""
    plan = plan_of(manifest, backbone, objectives)
    module: Any = SimpleNamespace(backbone=create_backbone(backbone, seed=3))
    rows = torch.randn(8, 32, generator=torch.Generator().manual_seed(4))
    supervised = any(one.kind == "supervised" for one in plan.settings.objectives)
    with open_shards(manifest) as shards:
        return publish_model(
            plan,
            shards,
            module,
            {"supervised": rows} if supervised else {},
            facts=facts_of(plan),
            run_facts={**RUN_FACTS, **run_facts},
        )


@pytest.fixture(scope="module")
def published(manifest: Manifest, backbone: str) -> str:
    return publish(manifest, backbone, "multitask")


def code_blocks(card: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", card, flags=re.DOTALL)


def folder_of(model: str) -> Path:
    manifest = read_manifest(model, "model")
    return local_folder(manifest.store, manifest.content["prefix"], manifest.digest)


def run_code(card: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Run the card's code as it stands, in the model's folder with a picture beside it."""
    names: dict[str, Any] = {}
    monkeypatch.chdir(folder)
    picture = folder / "picture.jpg"
    make_samples(1, seed=9)[0]["image"].save(picture, quality=95)
    try:
        for block in code_blocks(card):
            exec(block, names)
    finally:
        picture.unlink()
    return names


def test_the_code_on_the_card_gives_the_vectors_of_our_own_loader(
    published: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names = run_code(read_card(published), folder_of(published), monkeypatch)
    encoder = load_encoder(published)
    expected = encoder.encode_texts(["a red disc", "a blue square"])
    np.testing.assert_allclose(names["texts"].numpy(), expected, atol=1e-5)
    assert names["pictures"].shape == (1, 32)
    assert float(names["pictures"].norm()) == pytest.approx(1, abs=1e-5)
    rows = torch.nn.functional.normalize(names["rows"], dim=-1)
    best = int((rows @ names["pictures"][0]).argmax())
    first = capsys.readouterr().out.splitlines()[-5]
    assert first.endswith(CLASSES[best])


def test_without_a_text_objective_the_card_says_so_and_shows_no_text_code(
    manifest: Manifest, backbone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = publish(manifest, backbone, "supervised")
    card = read_card(model)
    assert "text tower was **not trained**" in card
    assert "get_tokenizer" not in card
    assert "rows" in run_code(card, folder_of(model), monkeypatch)


def test_without_class_rows_the_card_reads_none(
    manifest: Manifest, backbone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = publish(manifest, backbone, "clip")
    card = read_card(model)
    assert "class_rows" not in card
    assert "| class rows | none |" in card
    assert "**Entities.**" not in card
    assert "texts" in run_code(card, folder_of(model), monkeypatch)


def test_the_configuration_on_the_card_is_the_run_s_own(
    published: str, manifest: Manifest, backbone: str
) -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", read_card(published), flags=re.DOTALL)
    settings = parse_config(TrainConfig, yaml.safe_load(block), where="card")
    again = plan_run(settings, manifest, "again")
    assert settings == plan_of(manifest, backbone, "multitask").settings
    assert f"| recipe | `{again.recipe}` |" in read_card(published)


def test_the_digest_is_of_weights_and_facts_and_not_of_the_card(published: str) -> None:
    """By hand: the files that are hashed, less the two that tell."""
    manifest = read_manifest(published, "model")
    folder = folder_of(published)
    names = sorted(path.name for path in folder.iterdir())
    assert {"README.md", "training.json"} < set(names)
    hashed = [[n, hash_file(folder / n)] for n in names if n not in ("README.md", "training.json")]
    facts = {
        key: manifest.content["origin"][key]
        for key in (
            "recipe", "config", "training_shards", "dataset", "samples", "classes", "steps",
            "epochs",
        )
    }  # fmt: skip
    assert manifest.digest == hash_json([hash_json(hashed), facts])
    assert manifest.content["files"]["README.md"] == hash_file(folder / "README.md")


def test_equal_runs_of_other_names_are_the_same_model_with_the_first_ones_card(
    published: str, manifest: Manifest, backbone: str
) -> None:
    before = read_card(published)
    again = publish(manifest, backbone, "multitask", name="b", metrics={}, seconds=1.0)
    assert again == published
    assert read_card(again) == before  # who has the first one's copy finds it unchanged


def test_the_command_prints_the_card(published: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "card", "--model", published]) == 0
    assert capsys.readouterr().out == (folder_of(published) / "README.md").read_text()


def test_a_card_that_was_changed_is_refused(place: Path, backbone: str, tmp_path: Path) -> None:
    uri = write_training_shards(tmp_path / "root", make_samples(16, seed=2))
    model = publish(read_manifest(uri, "training_shards"), backbone, "clip")
    path = folder_of(model) / "README.md"
    path.write_text(path.read_text().replace("## Limits", "## No limits"))
    with pytest.raises(StorageError, match=r"README\.md is not what .* names: it was changed"):
        read_card(model)


def test_a_model_without_a_card_is_told_in_one_line(
    published: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in ("open_clip_config.json", "open_clip_model.safetensors"):
        (folder / name).write_bytes((folder_of(published) / name).read_bytes())
    imported = publish_folder(open_store(str(tmp_path / "root")), folder, origin={"source": "x"})
    assert main(["models", "card", "--model", imported]) == 2
    assert capsys.readouterr().err == f"openmofi: {imported} has no model card: it was imported\n"
    content = {"files": {}, "prefix": "models/1", "origin": {"kind": "trained"}}
    old = write_manifest(open_store(str(tmp_path / "root")), "model", "1", content).uri
    with pytest.raises(InputError, match="trained before there were cards"):
        read_card(old)
