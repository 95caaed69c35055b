import re
import threading

import numpy as np
import pytest
import torch

from openmofi.labeling.encoding import Speed, encode_pictures
from support.labeling import ToyEncoder, quarters_png
from support.labeling_pictures import written


class Watched(ToyEncoder):
    """Notes the size of each batch, and overflows where the quarter that a test says is bright."""

    def __init__(self, broken: int | None = None) -> None:
        self.sizes: list[int] = []
        self._broken = broken

    def launch(self, pixels: torch.Tensor) -> torch.Tensor:
        vectors = super().launch(pixels)
        if self._broken is not None and vectors[0, self._broken] > 0:
            vectors[0, 2] = torch.inf
        self.sizes.append(len(pixels))
        return vectors


def encode(encoder, pictures, **options):
    defaults = {"batch_size": 2, "workers": 1, "scaled": False}
    return list(encode_pictures(encoder, pictures, **{**defaults, **options}))


def vectors_of(blocks):
    return np.concatenate([block.vectors for block in blocks]).tolist()


@pytest.fixture
def pictures(tmp_path):
    return written(tmp_path / "a", [quarters_png(n % 4) for n in range(5)])


def bright(quarter: int) -> list[float]:
    return [0.5 if n == quarter else -0.5 for n in range(4)]


def test_vectors_come_in_the_order_of_the_pictures(pictures):
    assert vectors_of(encode(ToyEncoder(), pictures)) == [bright(n % 4) for n in range(5)]


def test_every_pass_has_a_full_batch_and_nobody_sees_what_fills_it(pictures):
    encoder = Watched()
    blocks = encode(encoder, pictures, batch_size=4)
    assert encoder.sizes == [4, 4]
    assert [len(block.ok) for block in blocks] == [4, 1]


def test_an_overflow_in_the_encoder_is_not_ok_and_leaves_no_number(pictures):
    blocks = encode(Watched(broken=2), pictures)
    assert [block.ok.tolist() for block in blocks] == [[True, True], [False, True], [True]]
    assert vectors_of(blocks)[2] == [0, 0, 0, 0]


def test_no_picture_is_no_block_and_nothing_is_told(capsys):
    speed = Speed()
    assert encode(ToyEncoder(), [], speed=speed) == []
    speed.tell("stage")
    assert capsys.readouterr().err == ""


def test_the_speed_counts_pictures_and_tells_what_the_encoder_waited(pictures, capsys):
    speed = Speed()
    encode(ToyEncoder(), pictures, speed=speed)
    speed.tell("stage")
    assert speed.images == 5
    assert speed.waited >= 0
    line = r"stage: 5 images, \d+\.\d a second; .* images \d+\.\d % of the time at most"
    assert re.search(line, capsys.readouterr().err)


class Rounding(ToyEncoder):
    """Says on how many cores each batch is computed, and holds the first ones up."""

    def __init__(self) -> None:
        self.cores: list[int] = []
        self.met = threading.Barrier(2, timeout=20)

    def launch(self, pixels: torch.Tensor) -> torch.Tensor:
        if len(self.cores) < 2:
            self.cores.append(torch.get_num_threads())
            self.met.wait()  # nobody passes alone
        return super().launch(pixels)


def test_cpu_cores_get_a_batch_each(pictures):
    encoder, before = Rounding(), torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert vectors_of(encode(encoder, pictures)) == [bright(n % 4) for n in range(5)]
        assert encoder.cores == [1, 1]
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
