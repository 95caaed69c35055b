import io
import pickle

import numpy as np
import pytest
import torch

from openmofi.cli import main
from openmofi.errors import InputError
from openmofi.images import decode_image
from openmofi.keys import content_digest
from openmofi.labeling.config import EmbedConfig
from openmofi.labeling.embed import STAGE_VERSION, EmbedStage, embed_images, read_embeddings
from openmofi.models.encoder import load_encoder
from openmofi.models.importing import import_model
from openmofi.records import image_embeddings_schema
from openmofi.stage import ShardInput, run_stage
from openmofi.versions import read_manifest, read_table_version
from openmofi.work import align
from support.labeling import ToyEmbedStage, quarters_png, read_tables
from support.models import noise, write_model
from support.tables import Pair, noise_jpeg, write_pool

REFUSED = Pair(b"no image", "refused", status="corrupt_image")


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    first = [Pair(noise_jpeg(n), f"picture {n}") for n in range(5)]
    second = [REFUSED, *(Pair(noise_jpeg(n), f"picture {n}") for n in range(5, 8))]
    return write_pool(tmp_path_factory.mktemp("pool"), {"a": first, "b": second})


@pytest.fixture(scope="module")
def model(pool, tmp_path_factory):
    return import_model(pool.root, source=str(write_model(tmp_path_factory.mktemp("model"))))


@pytest.fixture(scope="module")
def embedded(pool, model):
    return embed_images(pool.samples[0], model, config={"batch_size": 2})


def test_every_image_has_the_vector_that_the_encoder_gives_it_alone(embedded, model):
    _, table = read_tables(embedded, "image_embeddings")
    encoder = load_encoder(model)
    expected = [encoder.encode_pixels([decode_image(noise_jpeg(n))])[0] for n in range(8)]
    vectors, position = read_embeddings(table)
    assert table.schema.equals(image_embeddings_schema(8), check_metadata=False)
    np.testing.assert_allclose(vectors, expected, atol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3)
    assert position.tolist() == [0, 1, 2, 3, 4, -1, 5, 6, 7]


def test_refused_samples_are_rows_of_zeros_and_counts_add_up(embedded):
    version, table = read_tables(embedded, "image_embeddings")
    assert version.counts == {"ok": 8, "skipped": 1}
    assert table.column("embedding")[5].as_py() == [0.0] * 8
    assert table.column("status").to_pylist()[5] == "skipped"


def test_another_batch_size_finds_the_work_done(pool, model, embedded, capsys):
    again = embed_images(pool.samples[0], model, config={"batch_size": 3.0, "decode_threads": 1})
    assert again == embedded
    assert "2 shards, 2 reused, 0 to do" in capsys.readouterr().err


def test_vectors_have_the_same_bits_with_any_number_of_threads(tmp_path):
    """Workers share the cores, so their number changes the threads of each."""
    pool = write_pool(tmp_path, {"a": [Pair(noise_jpeg(n), f"picture {n}") for n in range(3)]})
    model = import_model(pool.root, source=str(write_model(tmp_path / "m", config="tiny")))
    store, version = read_table_version(pool.samples[0], "samples")
    (work,) = align({"samples": version})
    before, tables = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            stage = EmbedStage(model, "digest", EmbedConfig(batch_size=32), threads=threads)
            stage.setup()
            tables.append(stage.process(ShardInput(store, work, "")).table)
    finally:
        torch.set_num_threads(before)
    assert tables[0].equals(tables[1])


def test_another_model_is_other_work(pool, embedded, tmp_path, capsys):
    other = import_model(pool.root, source=str(write_model(tmp_path, seed=2)))
    assert embed_images(pool.samples[0], other) != embedded
    assert "0 reused, 2 to do" in capsys.readouterr().err


def test_a_stage_sent_to_another_process_gives_the_same_table(pool, model, embedded):
    store, version = read_table_version(pool.samples[0], "samples")
    stage = EmbedStage(model, read_manifest(model, "model").digest, EmbedConfig(batch_size=2))
    copy = pickle.loads(pickle.dumps(stage))
    copy.setup()
    _, expected = read_table_version(embedded, "image_embeddings")
    for work, entry in zip(align({"samples": version}), expected.shards, strict=True):
        output = copy.process(ShardInput(store, work, ""))
        assert content_digest(output.table) == entry.content_digest


@pytest.fixture(scope="module")
def fixed(tmp_path_factory):
    """A fixed shard: three pictures, one that ingest refused, one that cannot be preprocessed."""
    sink = io.BytesIO()
    noise(1, side=2)[0].save(sink, "PNG")
    images = [quarters_png(0), quarters_png(0, 1), sink.getvalue(), quarters_png(2, 3)]
    pairs = [Pair(image, str(row), extension="png") for row, image in enumerate(images)]
    pool = write_pool(tmp_path_factory.mktemp("fixed"), {"a": [REFUSED, *pairs]})
    store, version = read_table_version(pool.samples[0], "samples")
    stage = ToyEmbedStage("", "toy", EmbedConfig(batch_size=2))
    return run_stage(stage, store, align({"samples": version}))


def test_a_sample_that_cannot_be_embedded_is_counted_and_the_rest_is_whole(fixed):
    version, table = read_tables(fixed, "image_embeddings")
    assert version.counts == {"failed": 1, "ok": 3, "skipped": 1}
    assert table.column("embedding").to_pylist() == [
        [0.0] * 4,
        [0.5, -0.5, -0.5, -0.5],
        [0.5, 0.5, -0.5, -0.5],
        [0.0] * 4,
        [-0.5, -0.5, 0.5, 0.5],
    ]


def test_output_on_a_fixed_shard_is_pinned_to_the_stage_version(fixed):
    version, _ = read_tables(fixed, "image_embeddings")
    assert (STAGE_VERSION, version.shards[0].content_digest) == (
        1,
        "b8102c892c384aed588eb83ee6254f41",
    ), "output has changed: raise STAGE_VERSION in labeling/embed.py and pin the new digest"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"batchsize": 2}, "embed: unknown key 'batchsize'; known here: batch_size"),
        ({"batch_size": 0}, "embed: 'batch_size'"),
        ({"device": "tpu9"}, "device 'tpu9'"),
    ],
)
def test_a_wrong_option_is_told_before_work_starts(pool, model, config, message):
    with pytest.raises(InputError, match=message):
        embed_images(pool.samples[0], model, config=config)


def test_swapped_manifests_are_told(pool, model):
    with pytest.raises(InputError, match="manifest of 'model', and 'samples' is needed"):
        embed_images(model, pool.samples[0])


def test_the_command_prints_the_uri(pool, model, embedded, tmp_path, capsys):
    options = tmp_path / "embed.yaml"
    options.write_text("batch_size: 2\n")
    command = ["labeling", "embed", "--samples", pool.samples[0], "--model", model]
    assert main([*command, "--config", str(options)]) == 0
    assert capsys.readouterr().out.strip() == embedded
