"""Where text stands in a picture: views, a detection network, and a second look."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from PIL import Image

from openmofi.keys import hash_file
from openmofi.textregions.boxes import Backend, Box, Pixels, Region
from openmofi.textregions.config import DetectConfig
from openmofi.textregions.reading import Reader, reader_path
from openmofi.textregions.views import View, distinct, tiles, whole

_SURE = 0.5  # a picture with a region of it needs no closer look
_SMALLER = 0.8  # of the closer look's size; nothing is won for pictures nearly as large


def load_detector(config: DetectConfig) -> "TextDetector":
    """The detector that ``config`` describes, ready to use.

    Raises:
        InputError: A model or a package is missing.
    """
    reader = Reader(config) if config.second_look else None
    return TextDetector(config, load_backend(config), reader)


def load_backend(config: DetectConfig) -> Backend:
    """The detection network that ``config`` names."""
    if config.backend == "paddleocr":
        from openmofi.textregions.paddleocr_backend import PaddleOcrBackend

        return PaddleOcrBackend(config)
    from openmofi.textregions.rapidocr_backend import RapidOcrBackend

    return RapidOcrBackend(config)


def detector_digests(config: DetectConfig) -> dict[str, str]:
    """Digests of the weights that `load_detector` would load, without loading them."""
    found = {"detector": _backend_digest(config)}
    if config.second_look:
        found["reader"] = hash_file(reader_path(config))
    return found


def _backend_digest(config: DetectConfig) -> str:
    if config.backend == "paddleocr":
        from openmofi.textregions.paddleocr_backend import paddleocr_digest

        return paddleocr_digest(config)
    from openmofi.textregions.rapidocr_backend import model_path

    return hash_file(model_path(config))


class TextDetector:
    """Pictures to boxes.

    Args:
        config: See `DetectConfig`.
        backend: The detection network.
        reader: For the second look; None for none.
    """

    def __init__(self, config: DetectConfig, backend: Backend, reader: Reader | None) -> None:
        self._config = config
        self._backend = backend
        self._reader = reader
        self._batch = config.batch_size if config.device == "cuda" else 1

    def detect(self, image: Image.Image) -> list[Box]:
        """The text regions of an RGB picture."""
        return self.detect_all([image])[0]

    def detect_all(self, images: Sequence[Image.Image]) -> list[list[Box]]:
        """The text regions of each of some RGB pictures, batched by size on a GPU."""
        pictures = [_blue_green_red(image) for image in images]
        views = [self._views(picture) for picture in pictures]
        found = self._boxes(pictures, self._looked_at(pictures, views))
        again = [
            [] if any(box.confidence >= _SURE for box in boxes) else self._closer(picture)
            for picture, boxes in zip(pictures, found, strict=True)
        ]
        if not any(again):
            return found
        closer = self._boxes(pictures, self._looked_at(pictures, again))
        return [_joined(*both) for both in zip(found, closer, strict=True)]

    def _views(self, picture: Pixels) -> list[View]:
        height, width = picture.shape[:2]
        limit = self._config.input_limit
        pieces = tiles(width, height, limit=limit, most=self._config.max_tiles)
        return [whole(width, height, limit=limit), *pieces]

    def _closer(self, picture: Pixels) -> list[View]:
        """A small picture enlarged, up to twice. Only reading makes that worth it."""
        height, width = picture.shape[:2]
        limit = min(self._config.closer_look, self._config.input_limit)
        if self._reader is None or max(height, width) > _SMALLER * limit:
            return []
        return [whole(width, height, limit=limit, enlarged=2)]

    def _looked_at(
        self, pictures: Sequence[Pixels], views: Sequence[Sequence[View]]
    ) -> list[list[Region]]:
        """Regions of each picture over its views, in the picture's pixels."""
        by_size: dict[tuple[int, int], list[tuple[int, View]]] = defaultdict(list)
        for number, of_picture in enumerate(views):
            for view in of_picture:
                by_size[view.height, view.width].append((number, view))
        found: list[list[tuple[Region, bool]]] = [[] for _ in pictures]
        for looks in by_size.values():
            for start in range(0, len(looks), self._batch):
                batch = looks[start : start + self._batch]
                seen = self._backend.regions([view.pixels(pictures[n]) for n, view in batch])
                for (number, view), regions in zip(batch, seen, strict=True):
                    found[number] += _placed(view, regions, pictures[number])
        several = [len(of_picture) > 1 for of_picture in views]
        return [
            _distinct(regions) if many else [region for region, _ in regions]
            for regions, many in zip(found, several, strict=True)
        ]

    def _boxes(
        self, pictures: Sequence[Pixels], regions: Sequence[Sequence[Region]]
    ) -> list[list[Box]]:
        found = []
        for picture, of_picture in zip(pictures, regions, strict=True):
            sure = [region.confidence for region in of_picture]
            if self._reader is not None:
                sure = self._reader.confidences(picture, of_picture)
            found.append(
                [
                    Box(tuple(region.corners.reshape(-1).tolist()), confidence, region.confidence)
                    for region, confidence in zip(of_picture, sure, strict=True)
                ]
            )
        return found


def _placed(view: View, regions: Sequence[Region], picture: Pixels) -> list[tuple[Region, bool]]:
    placed = [(view.placed(region, picture), view.cuts(region)) for region in regions]
    return [(region, cut) for region, cut in placed if region is not None]


def _distinct(regions: Sequence[tuple[Region, bool]]) -> list[Region]:
    found, cut = zip(*regions, strict=True) if regions else ((), ())
    return [found[number] for number in distinct(found, cut)]


def _joined(first: Sequence[Box], closer: Sequence[Box]) -> list[Box]:
    """The findings of both looks; of the same place the surer one."""
    boxes = [*first, *closer]
    regions = [
        Region(np.array(box.polygon, np.float32).reshape(4, 2), box.confidence) for box in boxes
    ]
    return [boxes[number] for number in distinct(regions, [False] * len(regions))]


def _blue_green_red(image: Image.Image) -> Pixels:
    return np.ascontiguousarray(np.asarray(image.convert("RGB"))[:, :, ::-1])
