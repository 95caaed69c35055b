"""From a large JPEG to an encoder's input: decoding at a fraction of the size, beside open_clip.

Run: OMP_NUM_THREADS=1 python -m benchmarks.scaled_decoding --pairs DIR [--model FOLDER]
     [--size 1600 1200] [--images 24] [--rounds 7]

The photographs of DIR are brought to --size and stored as JPEG of quality 85 in memory; three ways
over the same bytes take turns, image by image, in one thread:

* open_clip: Pillow's decoding and open_clip's own transform;
* whole: ours, decoded at full size;
* scaled: ours, decoded at the smallest fraction that keeps twice what the encoder takes.

CPU seconds of the thread; ratios are of medians over rounds, with 95 % intervals (bootstrap). With
--model the three are encoded too, and their embeddings' cosines to those of open_clip's transform
are told; enlarged photographs hold no fine detail, so real large ones differ more.
"""

import argparse
import io
import itertools
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import open_clip
import torch
from PIL import Image

from benchmarks.text_labels import ratio_interval, read_photos
from openmofi.images import decode_image
from openmofi.models.folder import load_model
from openmofi.models.preprocessing import Preprocess, normalized

_VIT = {"size": 224, "mode": "RGB"}  # what ViT-B/32 and most of its kind take
Way = Callable[[bytes], torch.Tensor]


def large_jpegs(pairs: Path, size: tuple[int, int], count: int) -> list[bytes]:
    """Photographs brought to one size and stored as JPEG."""
    found = []
    for photo in itertools.islice(read_photos(pairs).values(), count):
        sink = io.BytesIO()
        image = decode_image(photo.read()).resize(size, Image.Resampling.BICUBIC)
        image.save(sink, "JPEG", quality=85)
        found.append(sink.getvalue())
    return found


def ways(config: dict[str, object]) -> dict[str, Way]:
    transform = open_clip.transform.image_transform_v2(
        open_clip.transform.PreprocessCfg(**config), is_train=False
    )
    geometry = Preprocess.from_open_clip(config)

    def peer(data: bytes) -> torch.Tensor:
        return transform(Image.open(io.BytesIO(data)).convert("RGB"))

    def ours(data: bytes, least_side: int | None) -> torch.Tensor:
        pixels = geometry.pixels(decode_image(data, least_side=least_side))
        return normalized(torch.from_numpy(pixels)[None], geometry)[0]

    return {
        "open_clip": peer,
        "whole": lambda data: ours(data, None),
        "scaled": lambda data: ours(data, 2 * geometry.least_side),
    }


def race(arms: dict[str, Way], images: Sequence[bytes], rounds: int) -> dict[str, list[float]]:
    """CPU milliseconds an image, a number for each round."""
    spent: dict[str, list[float]] = {name: [] for name in arms}
    for number in range(rounds + 1):  # the first warms up
        total = dict.fromkeys(arms, 0.0)
        for place, data in enumerate(images):
            names = list(arms)
            for name in names[place % len(names) :] + names[: place % len(names)]:
                started = time.thread_time()
                arms[name](data)
                total[name] += time.thread_time() - started
        if number:
            for name, seconds in total.items():
                spent[name].append(1000 * seconds / len(images))
    return spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pairs", type=Path, required=True, help="folder of tars with images")
    parser.add_argument("--model", type=Path, help="model folder, to compare embeddings")
    parser.add_argument("--size", type=int, nargs=2, default=(1600, 1200))
    parser.add_argument("--images", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = load_model(options.model) if options.model else None
    arms = ways(model.visual.preprocess_cfg if model else _VIT)
    images = large_jpegs(options.pairs, tuple(options.size), options.images)
    print(f"{len(images)} images of {options.size[0]} x {options.size[1]}, one thread")
    spent = race(arms, images, options.rounds)
    for name, times in spent.items():
        low, ratio, high = ratio_interval(spent["open_clip"], times)
        print(
            f"{name:10} CPU ms an image {min(times):6.1f} least, {np.median(times):6.1f} median; "
            f"{ratio:.2f} ({low:.2f} to {high:.2f}) times as fast as open_clip's"
        )
    if model:
        tell_cosines(model, arms, images)


@torch.inference_mode()
def tell_cosines(model: torch.nn.Module, arms: dict[str, Way], images: Sequence[bytes]) -> None:
    vectors = {
        name: model.encode_image(torch.stack([way(one) for one in images]), normalize=True)
        for name, way in arms.items()
    }
    for name, found in vectors.items():
        cosines = (found * vectors["open_clip"]).sum(dim=1)
        print(f"{name:10} cosine mean {cosines.mean():.6f}, least {cosines.min():.6f}")


if __name__ == "__main__":
    main()
