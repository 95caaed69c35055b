"""open_clip's own trainer, as its users start it, on the folder that is exported."""

import json
import math
import os
import re
import shlex
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from openmofi.dataset.export_tars import TarExport, export_tars
from openmofi.versions import Manifest
from support.exports import FORMATS, encoded, samples_of, write_shards
from support.tables import Pair, labelled
from support.training import SMALL_TRANSFORMER

_TRAIN = "import sys\nfrom open_clip_train.main import main\nmain(sys.argv[1:])"

# What the trainer's loader gives in one epoch, with texts in the place of tokens.
_LOAD = """
import json, sys
from open_clip_train import data
from open_clip_train.params import parse_args

args = parse_args(sys.argv[1:])
args.world_size = 1
steps = (lambda image: image.convert("RGB").resize((8, 8)).tobytes().hex(),) * 2
loaders = data.get_data(args, steps, tokenizer=lambda text: [text])
print(json.dumps({
    name: [text for _, texts in info.dataloader for text in texts] for name, info in loaders.items()
}))
"""


def run(program: str, options: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-c", program, *options],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        timeout=120,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done


def options(done: TarExport, **changed: str) -> list[str]:
    """The printed command's, with some changed."""
    words = shlex.split(done.command())[3:]
    given = dict(zip(words[::2], words[1::2], strict=True))
    given |= {f"--{name.replace('_', '-')}": value for name, value in changed.items()}
    return [word for pair in given.items() for word in pair]


@pytest.fixture
def made(root: Path, knowledge_base: str) -> Manifest:
    """24 samples to train on, and some to validate on; what is too much was taken down."""
    pairs = [labelled(seed, ("peru", 0.4)) for seed in range(30)]
    pairs += [Pair(encoded(40 + i, form), f"a {form}") for i, form in enumerate(FORMATS)]
    made = write_shards(root, knowledge_base, pairs, samples_per_shard=9, validation_share=0.25)
    surplus = samples_of(made, "train")[24:]
    made.store.put("tombstones/list.txt", "\n".join(one["uid"] for one in surplus).encode())
    return made


def texts(made: Manifest) -> dict[str, list[str]]:
    """The alt texts of each split."""
    train, validation = (samples_of(made, split) for split in ("train", "validation"))
    assert len(train) >= 24
    assert validation
    return {
        "train": [one["alt_text"] for one in train[:24]],
        "validation": [one["alt_text"] for one in validation],
    }


def test_it_trains_an_epoch_on_every_sample(made: Manifest, tmp_path: Path) -> None:
    done = export_tars(made.uri, tmp_path / "folder", convert=True)
    model = tmp_path / "model"
    model.mkdir()
    config = {"model_cfg": SMALL_TRANSFORMER, "preprocess_cfg": {}}
    (model / "open_clip_config.json").write_text(json.dumps(config))
    changed = {"model": f"local-dir:{model}", "batch_size": "8", "log_every_n_steps": "1"}
    changed |= {"epochs": "1", "precision": "fp32", "warmup": "1", "name": "run"}
    run(_TRAIN, options(done, **changed), tmp_path)
    log = (tmp_path / "logs" / "run" / "out.log").read_text()
    found = re.findall(r"Train Epoch: 0 \[ *(\d+)/24 .* Loss: ([\d.]+|nan)", log)
    assert [int(seen) for seen, _ in found] == [8, 16, 24]
    assert all(math.isfinite(float(loss)) and float(loss) > 0 for _, loss in found)
    validation = len(texts(made)["validation"])
    assert re.search(rf"Eval Epoch: 1 .*num_samples: {validation}\.0", log)
    assert (tmp_path / "logs" / "run" / "checkpoints" / "epoch_1.pt").stat().st_size > 10_000


@pytest.mark.parametrize("convert", [False, True])
def test_its_loader_gives_each_sample_that_is_said_to_be_readable(
    made: Manifest, tmp_path: Path, convert: bool
) -> None:
    done = export_tars(made.uri, tmp_path / "folder", convert=convert)
    unread = set() if convert else {"a GIF", "a BMP", "a TIFF"}
    readable = {split: [t for t in ts if t not in unread] for split, ts in texts(made).items()}
    assert {split: one.readable for split, one in done.splits.items()} == {
        split: len(ts) for split, ts in readable.items()
    }
    shown = json.loads(run(_LOAD, options(done), tmp_path).stdout.splitlines()[-1])
    assert Counter(shown["train"]) == Counter(readable["train"])
    assert Counter(shown["val"]) == Counter(readable["validation"])


def test_it_finds_the_sizes_by_itself(made: Manifest, tmp_path: Path) -> None:
    done = export_tars(made.uri, tmp_path / "folder")
    (pattern,) = re.findall(r"--train-data '?(\S+?)'? ", done.command())
    program = (
        f"from open_clip_train.data import get_dataset_size; print(get_dataset_size({pattern!r}))"
    )
    tars = len(done.splits["train"].sizes)
    assert run(program, [], tmp_path).stdout.strip() == f"({done.splits['train'].readable}, {tars})"
