"""The second look: a region is text if somebody can read something there.

A detection network frames whole objects as text, and its map is pale on slopes and in small words.
So each region is turned upright and read by the recognition network of the same family. What it
reads is thrown away; how many letters it is sure of is kept, and weighed with what the map said.
"""

import math
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
import numpy.typing as npt

from openmofi.errors import InputError
from openmofi.textregions.boxes import Corners, Pixels, Region, polygon_area
from openmofi.textregions.config import DetectConfig
from openmofi.textregions.rapidocr_backend import in_wheel
from openmofi.workers import one_line

MODEL = "PP-OCRv6_rec_small.onnx"
# Of a logistic regression on what is read, the map's log-odds and the logarithm of the area's share
# of the picture; `python -m benchmarks.text_reading` fits them.
INTERCEPT, PER_LETTER, PER_LONE, PER_MAP, PER_AREA = -4.8, 1.6, 1.1, 0.8, -1.3
MOST_LETTERS = 4.0  # more say no more

_HEIGHT = 48  # of the recognition network's input, pixels
_LEAST_WIDTH, _MOST_WIDTH = 48, 160  # a longer region is read in its middle: six letters say enough
_TALL = 1.5  # times as high as wide: text that runs upwards or downwards
_CLEAR = 3.0  # letters from which the region is not turned to read again
_LEAST_AREA = 0.0005  # share of the picture; smaller regions cost the most and count for nothing
_ENOUGH = 8  # regions of a picture that can be read; in a page of text the rest need no look
_MOST = 64  # regions of a picture that are looked at; a texture may have thousands
_SURE = 0.5
_IDEOGRAPHS = "CJK UNIFIED"  # how Unicode's names of them begin


class Reading(NamedTuple):
    """What can be read in a region.

    Args:
        letters: How many letters and digits, each by how sure it is (0.5 counts as 0). An ideograph
            alone counts half: windows, grids and stars read as those.
        lone: The sureness of the only one; 0 if there are none or several, or for an ideograph.
    """

    letters: float
    lone: float


class Reader:
    """PP-OCRv6 small for recognition, or another network of the kind from an ONNX file."""

    def __init__(self, config: DetectConfig) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        cuda = ["CUDAExecutionProvider"] * (config.device == "cuda")
        path = str(reader_path(config))
        try:
            self._session = onnxruntime.InferenceSession(
                path, options, providers=[*cuda, "CPUExecutionProvider"]
            )
        except Exception as error:  # the runtime's own kinds have no common ancestor below this
            raise InputError(
                f"text detection: reader {path} is no ONNX model: {one_line(error):.200}"
            ) from None
        self._input = self._session.get_inputs()[0].name
        known = _characters(self._session.get_modelmeta().custom_metadata_map, path)
        self._is_letter = np.array([one.isalnum() for one in known])
        self._is_ideograph = np.array([_is_ideograph(one) for one in known])

    def confidences(self, picture: Pixels, regions: Sequence[Region]) -> list[float]:
        """How sure it is, 0 to 1, that each region of a picture is text.

        After eight regions that can be read the others keep the map's word: they stand among text.
        Regions under 0.05 % of the picture, half of what the text rule counts, keep it too. After
        64 that were looked at, the surest first, the others count as ones that cannot be read.

        Args:
            picture: ``uint8[height, width, 3]`` in blue, green, red.
            regions: In pixels of the picture; the order of the result.
        """
        share = picture.shape[0] * picture.shape[1]
        found = [region.confidence for region in regions]
        read = looked = 0
        for number in sorted(range(len(regions)), key=lambda number: -found[number]):
            region = regions[number]
            area = polygon_area(region.corners) / share
            if area < _LEAST_AREA:
                continue
            reading = self.read(picture, region.corners) if looked < _MOST else Reading(0, 0)
            found[number] = confidence(reading, region.confidence, area)
            looked += 1
            read += found[number] >= _SURE
            if read == _ENOUGH:
                break
        return found

    def read(self, picture: Pixels, corners: Corners) -> Reading:
        """What can be read in a region, the one way up or the other."""
        line = upright(picture, corners)
        reading = self._read_line(line)
        if reading.letters < _CLEAR:
            reading = max(reading, self._read_line(np.ascontiguousarray(line[::-1, ::-1])))
        return reading

    def _read_line(self, line: Pixels) -> Reading:
        width = line.shape[1]
        values = np.zeros((1, 3, _HEIGHT, max(_LEAST_WIDTH, width)), np.float32)
        values[0, :, :, :width] = (line.astype(np.float32) / 127.5 - 1).transpose(2, 0, 1)
        steps = self._session.run(None, {self._input: values})[0][0]
        symbols = steps.argmax(axis=1)
        # Connectionist temporal classification: a symbol begins where the best one changes.
        begins = np.concatenate([[True], symbols[1:] != symbols[:-1]]) & self._is_letter[symbols]
        sure = np.clip(2 * steps.max(axis=1)[begins] - 1, 0, 1)
        letters = float(sure.sum())
        if len(sure) != 1:
            return Reading(letters, 0.0)
        if self._is_ideograph[symbols[begins][0]]:
            return Reading(letters / 2, 0.0)
        return Reading(letters, letters)


def confidence(reading: Reading, on_map: float, area: float) -> float:
    """Probability that a region is text.

    Args:
        reading: What can be read in it.
        on_map: The detection network's confidence, 0 to 1.
        area: Share of the picture, above 0.
    """
    odds = math.log(min(max(on_map, 0.01), 0.99) / (1 - min(max(on_map, 0.01), 0.99)))
    value = INTERCEPT + PER_LETTER * min(reading.letters, MOST_LETTERS)
    value += PER_LONE * reading.lone**4  # handles and rings look like letters too, but less so
    value += PER_MAP * odds + PER_AREA * math.log10(max(area, 1e-6))
    return 1 / (1 + math.exp(-value))


def upright(picture: Pixels, corners: Corners) -> Pixels:
    """A region as a line of text: ``uint8[48, width, 3]``, its middle if it is a long one."""
    import cv2

    wide, high = (
        max(_length(corners[a] - corners[b]), _length(corners[c] - corners[d]), 1.0)
        for a, b, c, d in ((0, 1, 3, 2), (0, 3, 1, 2))
    )
    if high > _TALL * wide:
        corners, wide, high = np.roll(corners, -1, axis=0), high, wide
    width = max(8, round(wide * _HEIGHT / high))
    if width > _MOST_WIDTH:
        cut = (1 - _MOST_WIDTH / width) / 2
        ends = corners[[1, 0, 3, 2]]
        corners, width = (corners + cut * (ends - corners)).astype(np.float32), _MOST_WIDTH
    picture, corners = _shrunk(picture, corners, _HEIGHT / high)
    line = np.array([[0, 0], [width, 0], [width, _HEIGHT], [0, _HEIGHT]], np.float32)
    turned = cv2.warpPerspective(
        picture,
        cv2.getPerspectiveTransform(corners, line),
        (width, _HEIGHT),
        flags=cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return cast("Pixels", turned)


def _shrunk(picture: Pixels, corners: Corners, scale: float) -> tuple[Pixels, Corners]:
    """The region's surroundings, averaged down where warping would skip pixels."""
    import cv2

    low = np.maximum(np.floor(corners.min(axis=0)).astype(int) - 1, 0)
    high = np.ceil(corners.max(axis=0)).astype(int) + 2
    part = picture[low[1] : high[1], low[0] : high[0]]
    corners = (corners - low).astype(np.float32)
    if scale > 0.5:
        return part, corners
    size = tuple(max(1, round(side * scale)) for side in (part.shape[1], part.shape[0]))
    factors = np.array((size[0] / part.shape[1], size[1] / part.shape[0]), np.float32)
    return cast("Pixels", cv2.resize(part, size, interpolation=cv2.INTER_AREA)), corners * factors


def reader_path(config: DetectConfig) -> Path:
    """The file with the recognition network's weights.

    Raises:
        InputError: It is not there.
    """
    if config.reader:
        path = Path(config.reader)
        if not path.is_file():
            raise InputError(f"text detection: reader {path} is no file; give an ONNX file")
        return path
    try:
        return in_wheel(MODEL)
    except InputError:
        raise InputError(
            f"text detection: the second look reads with {MODEL} of rapidocr's wheel, which is not "
            "here; name the file as `reader`, or set second_look to false"
        ) from None


def _characters(metadata: dict[str, str], path: str) -> list[str]:
    """What each number of the network stands for: 0 is the blank, the last the space."""
    if "character" not in metadata:
        raise InputError(f"text detection: reader {path} does not say its characters")
    return ["", *metadata["character"].splitlines(), " "]


def _is_ideograph(character: str) -> bool:
    return len(character) == 1 and unicodedata.name(character, "").startswith(_IDEOGRAPHS)


def _length(vector: npt.NDArray[np.float32]) -> float:
    return float(np.hypot(*vector))
