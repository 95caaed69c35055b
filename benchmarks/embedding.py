"""Images a second: from JPEG shards to embeddings, beside the encoder alone and decoding alone.

Run: python -m benchmarks.embedding --pairs DIR --model NAME_OR_FOLDER [--images 256] [--rounds 5]
     [--batch 32] [--device cpu] [--workers 1]

NAME_OR_FOLDER is an open_clip architecture (random weights, which cost as much) or a model folder.
Four ways over the same images, one after the other in each round, all with the same cores:

* bare: open_clip's ``encode_image`` in a loop over preprocessed batches that lie in memory;
* ours: `openmofi.labeling.encoding.encode_pictures` from the tars, decoding in worker processes;
* naive: Pillow, open_clip's transform and ``encode_image``, in turn, in one process;
* decode: the worker processes of ours alone.

Vectors are compared first. Out of the clock: imports, loading, the start of workers and the first
two batches (ours), the first batch (bare, naive). The interval is of the ratio over rounds
(bootstrap, 95 %). On a GPU, bare and naive run under autocast to bfloat16 too.
"""

import argparse
import contextlib
import io
import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from PIL import Image

from openmofi.labeling.decoding import Decoder, Picture, decoded_batches
from openmofi.labeling.encoding import encode_pictures
from openmofi.labeling.pairs import tar_images
from openmofi.models.encoder import ClipEncoder
from openmofi.models.folder import load_model
from openmofi.models.preprocessing import Preprocess
from openmofi.workers import usable_cores


class Race:
    """The images, the model, and the four ways."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        found = tar_images(options.pairs)
        wanted = options.images // options.batch * options.batch
        self.pictures = [
            Picture(str(one.path), one.offset, one.length)
            for one in itertools.islice(itertools.cycle(found), wanted)
        ]
        self.model = _model(options.model).to(options.device)
        config = self.model.visual.preprocess_cfg
        self.transform = open_clip.transform.image_transform_v2(
            open_clip.transform.PreprocessCfg(**config), is_train=False
        )
        dim = self.model.encode_image(torch.zeros(1, 3, *_size(config), device=options.device))
        self.encoder = ClipEncoder(
            self.model,
            open_clip.SimpleTokenizer(),
            Preprocess.from_open_clip(config),
            digest="",
            dim=dim.shape[1],
            device=options.device,
        )
        # The encoder lays the weights out channels last; the peer gets open_clip's own layout.
        self.bare_model = _model(options.model).to(options.device)
        self.bare_model.load_state_dict(self.model.state_dict())
        starts = range(0, len(self.pictures), options.batch)
        batches = [self.pictures[start : start + options.batch] for start in starts]
        self.tensors = [
            torch.stack([self.transform(_decoded(one)) for one in batch]) for batch in batches
        ]

    def bare(self) -> Iterator[Any]:
        for batch in self.tensors:
            yield self._encode(batch)

    def naive(self) -> Iterator[Any]:
        size = self.options.batch
        for start in range(0, len(self.pictures), size):
            images = [self.transform(_decoded(one)) for one in self.pictures[start : start + size]]
            yield self._encode(torch.stack(images))

    def ours(self) -> Iterator[Any]:
        for block in encode_pictures(
            self.encoder,
            self.pictures,
            batch_size=self.options.batch,
            workers=self.options.workers,
            scaled=not self.options.whole,
        ):
            yield block.vectors

    def decode(self) -> Iterator[Any]:
        decoder = Decoder(self.encoder.preprocess, not self.options.whole)
        yield from decoded_batches(
            decoder, self.pictures, batch_size=self.options.batch, workers=self.options.workers
        )

    @torch.inference_mode()
    def _encode(self, batch: torch.Tensor) -> Any:
        cuda = self.options.device.startswith("cuda")
        with torch.autocast("cuda", torch.bfloat16) if cuda else contextlib.nullcontext():
            vectors = self.bare_model.encode_image(batch.to(self.options.device), normalize=True)
        return vectors.float().cpu().numpy()


def _model(name: str) -> Any:
    if Path(name).is_dir():
        return load_model(Path(name))
    torch.manual_seed(0)
    return open_clip.create_model(name).eval()


def _size(config: dict[str, Any]) -> tuple[int, int]:
    size = config["size"]
    return (size, size) if isinstance(size, int) else tuple(size)


def _decoded(picture: Picture) -> Image.Image:
    with open(picture.path, "rb") as file:
        file.seek(picture.offset)
        return Image.open(io.BytesIO(file.read(picture.length))).convert("RGB")


def rate(way: Callable[[], Iterator[Any]], batch: int, left_out: int) -> float:
    """Images a second after the first batches."""
    started, count = 0.0, 0
    for _ in way():
        if not started:
            started = time.perf_counter()
        count += 1
    return (count - left_out) * batch / (time.perf_counter() - started)


def interval(ratios: list[float]) -> tuple[float, float]:
    """95 % of the mean ratio, resampled over rounds."""
    draws = np.random.default_rng(0).choice(ratios, (2000, len(ratios))).mean(axis=1)
    low, high = np.percentile(draws, [2.5, 97.5])
    return float(low), float(high)


def main() -> None:
    options = _options()
    threads = options.threads or usable_cores()
    torch.set_num_threads(threads)
    race = Race(options)
    expected = np.concatenate(list(race.bare()))
    found = np.concatenate(list(race.ours())).astype(np.float32)
    cosines = (expected * found).sum(axis=1) / np.linalg.norm(found, axis=1)
    print(f"same vectors: least cosine {cosines.min():.6f} over {len(cosines)} images")
    print(f"threads of the encoder {threads}, decoding processes {options.workers}")
    ways = {"bare": (race.bare, 1), "ours": (race.ours, 2), "naive": (race.naive, 1)}
    rates: dict[str, list[float]] = {name: [] for name in (*ways, "decode")}
    for _ in range(options.rounds):
        for name, (way, left_out) in ways.items():
            rates[name].append(rate(way, options.batch, left_out))
        started = time.perf_counter()
        count = sum(len(batch.ok) for batch in race.decode())
        rates["decode"].append(count / (time.perf_counter() - started))
    for name, found_rates in rates.items():
        ratios = [one / bare for one, bare in zip(found_rates, rates["bare"], strict=True)]
        low, high = interval(ratios)
        print(
            f"{name:7} images/s best {max(found_rates):9.1f}, median "
            f"{np.median(found_rates):9.1f}; "
            f"of bare {np.mean(ratios):7.3f} ({low:.3f} to {high:.3f})"
        )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pairs", type=Path, required=True, help="folder of tars with images")
    parser.add_argument("--model", default="ViT-B-32")
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--threads", type=int, help="of the encoder (default: all cores)")
    parser.add_argument("--whole", action="store_true", help="decode large JPEGs at full size")
    return parser.parse_args()


if __name__ == "__main__":
    main()
