import io

import numpy as np
import pytest
import torch

from openmofi.cli import main
from openmofi.errors import InputError, ShardError
from openmofi.images import decode_image
from openmofi.labeling.config import EmbedConfig
from openmofi.labeling.embed import STAGE_VERSION, EmbedStage, embed_images, read_embeddings
from openmofi.models.encoder import load_encoder
from openmofi.models.importing import import_model
from openmofi.records import image_embeddings_schema
from openmofi.stage import ShardInput, run_stage
from openmofi.versions import read_table_version
from openmofi.work import align
from support.labeling import ToyEmbedStage, ToyEncoder, quarters_png, read_tables
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
    expected = [encoder.encode_images([decode_image(noise_jpeg(n))])[0] for n in range(8)]
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
    again = embed_images(pool.samples[0], model, config={"batch_size": 3.0, "decode_workers": 2})
    assert again == embedded
    assert "2 shards, 2 reused, 0 to do" in capsys.readouterr().err


def test_vectors_have_the_same_bits_with_any_number_of_threads(tmp_path):
    pool = write_pool(tmp_path, {"a": [Pair(noise_jpeg(n), f"picture {n}") for n in range(3)]})
    model = import_model(pool.root, source=str(write_model(tmp_path / "m", config="tiny")))
    before, tables = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            tables += streamed(pool, EmbedStage(model, "digest", EmbedConfig(batch_size=32)))
    finally:
        torch.set_num_threads(before)
    assert tables[0].equals(tables[1])


def test_vectors_have_the_same_bits_wherever_a_shard_stands(tmp_path):
    """A re-run after a failure puts other images into the same batch."""
    shards = {name: [Pair(noise_jpeg(n), name) for n in range(3)] for name in "abc"}
    pool = write_pool(tmp_path, shards)
    model = import_model(pool.root, source=str(write_model(tmp_path / "m", config="tiny")))
    first, second, third = streamed(pool, EmbedStage(model, "d", EmbedConfig(batch_size=4)))
    assert first.equals(second)
    assert first.equals(third)


def streamed(pool, stage):
    """The tables of all shards, without a store to put them in."""
    store, version = read_table_version(pool.samples[0], "samples")
    stage.setup()
    work = align({"samples": version})
    outputs = stage.stream([ShardInput(store, one, "") for one in work])
    return [output.table for _, output in outputs]


def test_another_model_is_other_work(pool, embedded, tmp_path, capsys):
    other = import_model(pool.root, source=str(write_model(tmp_path, seed=2)))
    assert embed_images(pool.samples[0], other) != embedded
    assert "0 reused, 2 to do" in capsys.readouterr().err


def test_batches_run_across_shards(tmp_path):
    shards = {name: [Pair(quarters_png(n), name) for n in range(3)] for name in "ab"}
    stage = ToyEmbedStage("", "toy", EmbedConfig(batch_size=4))
    sizes = []

    class Watched(ToyEncoder):
        def launch(self, pixels):
            sizes.append(len(set(map(bytes, pixels.numpy()))))
            return super().launch(pixels)

    stage.setup = lambda: setattr(stage, "encoder", Watched())
    tables = streamed(write_pool(tmp_path, shards), stage)
    assert sorted(sizes) == [2, 3]  # b1 b2, and a0 a1 a2 b0
    assert tables[0].equals(tables[1])


def test_a_bad_shard_is_told_and_the_others_are_whole(tmp_path, capsys):
    shards = {name: [Pair(quarters_png(0), name)] for name in "abc"}
    pool = write_pool(tmp_path, shards)
    store, version = read_table_version(pool.samples[0], "samples")
    work = align({"samples": version})
    whole = store.get(work[1].tar_key)
    store.put(work[1].tar_key, whole[:520])
    stage = ToyEmbedStage("", "toy", EmbedConfig(batch_size=2))
    with pytest.raises(ShardError, match=r"'b' failed: .*\.tar is cut short at byte 520"):
        run_stage(stage, store, work)
    store.put(work[1].tar_key, whole)
    capsys.readouterr()
    _, table = read_tables(run_stage(stage, store, work), "image_embeddings")
    assert "2 reused, 1 to do" in capsys.readouterr().err
    assert table.column("status").to_pylist() == ["ok"] * 3


def test_a_shard_without_a_usable_image_has_its_rows(tmp_path):
    shards = {"a": [Pair(quarters_png(0), "a")], "b": [REFUSED], "c": [REFUSED, REFUSED]}
    tables = streamed(write_pool(tmp_path, shards), ToyEmbedStage("", "toy", EmbedConfig()))
    assert [table.column("status").to_pylist() for table in tables] == [
        ["ok"],
        ["skipped"],
        ["skipped"] * 2,
    ]


@pytest.mark.parametrize(
    ("config", "same"),
    [
        ({"batch_size": 7, "device": "cpu", "compiled": True, "decode_workers": 3}, True),
        ({"precision": "float32"}, False),
        ({"precision": "bfloat16"}, False),
        ({"scaled_decoding": False}, False),
    ],
)
def test_only_what_can_change_a_vector_is_other_work(config, same):
    assert (EmbedConfig(**config).semantic() == EmbedConfig().semantic()) is same


def test_decoding_takes_every_core_beside_a_gpu_and_half_beside_the_cpu(monkeypatch):
    monkeypatch.setattr("openmofi.labeling.config.usable_cores", lambda: 8)
    assert EmbedConfig().processes("cuda:0") == 8
    assert EmbedConfig().processes("cpu") == 4
    assert EmbedConfig(decode_workers=3).processes("cuda") == 3


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
        2,
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
