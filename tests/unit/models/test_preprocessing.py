"""Equal to open_clip's own transform to the bit, and to transformers' own processors."""

import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from transformers import CLIPImageProcessorPil, SiglipImageProcessorPil
from transformers.models.efficientnet.image_processing_pil_efficientnet import (
    EfficientNetImageProcessorPil,
)

from openmofi.errors import InputError
from openmofi.models.preprocessing import Preprocess, normalized

# (height, width): less and more than the input, odd margins, lines and a point
SIZES = [(1, 1), (1, 9), (9, 1), (15, 16), (17, 31), (31, 17), (40, 23), (64, 64), (301, 260)]
TARGETS = [16, 15, (16, 24), (25, 16)]


def picture(height, width):
    values = np.random.default_rng(height * 1000 + width).integers(0, 256, (height, width, 3))
    return Image.fromarray(values.astype(np.uint8))


def ours(preprocess, image):
    return normalized(torch.from_numpy(preprocess.pixels(image))[None], preprocess)[0]


def open_clips(**config):
    transform = image_transform_v2(PreprocessCfg(**config), is_train=False)
    return Preprocess.from_open_clip(config), transform


@pytest.mark.parametrize("size", TARGETS)
@pytest.mark.parametrize("resize_mode", ["shortest", "longest", "squash"])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear", "random"])
def test_every_bit_is_open_clips(size, resize_mode, interpolation):
    preprocess, transform = open_clips(
        size=size, resize_mode=resize_mode, interpolation=interpolation, fill_color=90
    )
    for height, width in SIZES:
        image = picture(height, width)
        assert torch.equal(ours(preprocess, image), transform(image)), (height, width)


@pytest.mark.parametrize("resize_mode", ["shortest", "longest", "squash"])
def test_every_bit_is_open_clips_at_a_real_size(resize_mode):
    preprocess, transform = open_clips(size=224, resize_mode=resize_mode)
    for height, width in ((480, 641), (1203, 797), (100, 333)):
        image = picture(height, width)
        assert torch.equal(ours(preprocess, image), transform(image)), (height, width)


def test_a_line_too_thin_for_open_clip_is_kept_one_pixel_wide():
    preprocess, transform = open_clips(size=16, resize_mode="longest", fill_color=90)
    line = Image.new("RGB", (100, 1), "red")
    with pytest.raises(ValueError, match="height and width"):
        transform(line)
    pixels = preprocess.pixels(line)
    assert (pixels == (255, 0, 0)).all(axis=2).sum() == 16


PROCESSORS = [
    CLIPImageProcessorPil(size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16}),
    CLIPImageProcessorPil(size={"shortest_edge": 20}, crop_size={"height": 15, "width": 16}),
    CLIPImageProcessorPil(size={"shortest_edge": 15}, crop_size={"height": 20, "width": 18}),
    CLIPImageProcessorPil(
        size={"height": 20, "width": 24}, crop_size={"height": 15, "width": 16}, resample=2
    ),
    SiglipImageProcessorPil(size={"height": 16, "width": 16}),
    SiglipImageProcessorPil(size={"height": 16, "width": 24}, resample=0),
    SiglipImageProcessorPil(size={"height": 16, "width": 16}, resample=1, do_normalize=False),
    SiglipImageProcessorPil(size={"height": 16, "width": 16}, resample=4, do_rescale=False),
    EfficientNetImageProcessorPil(  # ALIGN's
        size={"height": 20, "width": 20},
        do_center_crop=True,
        crop_size={"height": 16, "width": 16},
        rescale_factor=2 / 255,
        rescale_offset=True,
        do_normalize=False,
        include_top=False,
    ),
]


@pytest.mark.parametrize("processor", PROCESSORS)
def test_values_are_those_of_transformers(processor):
    preprocess = Preprocess.from_transformers(processor.to_dict())
    for height, width in SIZES:
        image = picture(height, width)
        expected = processor(image, return_tensors="pt")["pixel_values"][0]
        largest = expected.abs().max().item()
        torch.testing.assert_close(
            ours(preprocess, image), expected, rtol=0, atol=1e-6 * max(1, largest)
        )


@pytest.mark.parametrize(
    "processor",
    [
        CLIPImageProcessorPil(do_center_crop=False),
        CLIPImageProcessorPil(size={"shortest_edge": 16, "longest_edge": 32}),
        SiglipImageProcessorPil(do_resize=False),
    ],
)
def test_a_processor_without_a_fixed_size_is_refused_in_one_line(processor):
    with pytest.raises(InputError, match=r"ImageProcessor with size .* no fixed size") as caught:
        Preprocess.from_transformers(processor.to_dict())
    assert "\n" not in str(caught.value)


def test_pixels_are_contiguous_bytes_of_the_given_height_and_width():
    preprocess = Preprocess.from_open_clip({"size": (16, 24)})
    pixels = preprocess.pixels(picture(50, 40))
    assert (pixels.dtype, pixels.shape) == (np.uint8, (16, 24, 3))
    assert pixels.flags.c_contiguous
    assert pixels.flags.writeable  # torch warns of what is not


def test_a_grey_image_becomes_rgb():
    preprocess = Preprocess.from_open_clip({"size": 16})
    grey = picture(20, 30).convert("L")
    np.testing.assert_array_equal(preprocess.pixels(grey), preprocess.pixels(grey.convert("RGB")))


def test_normalized_is_channels_last_float32_and_leaves_its_input():
    preprocess = Preprocess.from_open_clip({"size": 16})
    pixels = torch.full((2, 16, 16, 3), 128, dtype=torch.uint8)
    values = normalized(pixels, preprocess)
    assert (values.dtype, values.shape) == (torch.float32, (2, 3, 16, 16))
    assert values.is_contiguous(memory_format=torch.channels_last)
    assert (pixels == 128).all()


@pytest.mark.parametrize("size", TARGETS)
@pytest.mark.parametrize("resize_mode", ["shortest", "longest", "squash"])
def test_least_side_is_the_least_that_is_never_enlarged(size, resize_mode):
    """By trial: no shape of that shorter side is enlarged, and some shape of one less is."""
    preprocess = Preprocess.from_open_clip({"size": size, "resize_mode": resize_mode})

    def enlarges(height, width):
        resized = preprocess._resized(height, width)
        return resized[0] > height or resized[1] > width

    def some_enlarges(side):
        others = range(side, 3 * side)
        return any(enlarges(side, other) or enlarges(other, side) for other in others)

    assert not some_enlarges(preprocess.least_side)
    assert some_enlarges(preprocess.least_side - 1)


def test_least_side_is_of_the_resize_and_not_of_the_crop():
    processor = CLIPImageProcessorPil(
        size={"shortest_edge": 20}, crop_size={"height": 16, "width": 16}
    )
    assert Preprocess.from_transformers(processor.to_dict()).least_side == 20


def test_it_is_pickled_for_workers_that_never_load_torch():
    preprocess = Preprocess.from_open_clip({"size": 16})
    image = picture(20, 30)
    program = (
        "import pickle, sys\n"
        "preprocess, image = pickle.loads(sys.stdin.buffer.read())\n"
        "sys.stdout.buffer.write(preprocess.pixels(image).tobytes())\n"
        "assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=pickle.dumps((preprocess, image)),
        capture_output=True,
        check=True,
    )
    assert done.stdout == preprocess.pixels(image).tobytes()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"interpolation": "cubic"}, "interpolation 'cubic' is unknown; known: nearest, "),
        ({"resize_mode": "crop"}, "resize_mode 'crop' is unknown; known: shortest, "),
    ],
)
def test_an_unknown_name_is_refused_at_once(change, message):
    good = {"interpolation": "bicubic", "resize_mode": "shortest"}
    with pytest.raises(InputError, match=message):
        Preprocess(height=16, width=16, mean=(0, 0, 0), std=(1, 1, 1), **{**good, **change})


def test_an_interpolation_that_open_clip_lacks_is_refused():
    with pytest.raises(InputError, match="interpolation 'nearest' is unknown to open_clip"):
        Preprocess.from_open_clip({"interpolation": "nearest"})
