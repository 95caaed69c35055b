import base64
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from openmofi.errors import InputError
from openmofi.registry import pyfunc_inputs
from openmofi.registry.pyfunc_inputs import read_inputs


@pytest.fixture(scope="module")
def png():
    stream = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def coded(data):
    return base64.b64encode(data).decode()


def test_every_form_of_an_image_is_the_same_image(png, tmp_path):
    path = tmp_path / "a b.png"
    path.write_bytes(png)
    wrapped = base64.encodebytes(png).decode()  # with line ends
    forms = [png, bytearray(png), path, Image.open(path), coded(png), wrapped]
    forms += [f"data:image/png;base64,{coded(png)}"]
    found = read_inputs(forms, "auto")
    assert all(np.array_equal(image, np.asarray(Image.open(path))) for image in found)


@pytest.mark.parametrize(
    "text", ["a cat", "Rome", "cat.", "data: what is it", "x" * 40, "猫 " * 90]
)
def test_other_strings_are_texts(text):
    assert read_inputs([text], "auto") == [text]


def test_a_string_never_opens_a_file(png, tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(png)
    plain = tmp_path / "plain"
    plain.write_bytes(png)
    for named in (str(path), path.as_uri(), "http://host/x", "missing.JPG"):
        with pytest.raises(InputError, match="are not opened"):
            read_inputs([named], "auto")
    assert read_inputs([str(plain)], "auto") == [str(plain)]
    with pytest.raises(InputError, match="are not opened"):
        read_inputs([str(plain)], "image")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("", "it is empty"),
        (3, "not int"),
        (None, "not NoneType"),
        (b"no image", "does not open"),
        (Path("/nowhere/a.png"), "cannot read /nowhere/a.png"),
        ("data:image/png;base64,AAAA", "does not open"),
        ("data:image/png;base64,%%", "is no base64 of an image"),
        (base64.b64encode(bytes(90)).decode(), "does not open .*; if it is a text, say so"),
    ],
)
def test_what_is_wrong_is_told_with_its_number(value, message):
    with pytest.raises(InputError, match=f"input 1: .*{message}"):
        read_inputs(["a good one", value], "auto")


def test_params_and_column_names_say_what_a_string_is(png):
    data = coded(png)
    assert read_inputs([data], "text") == [data]
    assert read_inputs(pd.DataFrame({"text": [data]}), "auto") == [data]
    assert isinstance(read_inputs(pd.DataFrame({"x": [data]}), "auto")[0], Image.Image)
    assert read_inputs(pd.DataFrame({"text": [["a", "b"]]}), "auto") == ["a", "b"]
    with pytest.raises(InputError, match="no image"):
        read_inputs(pd.DataFrame({"image": ["a cat"]}), "auto")
    with pytest.raises(InputError, match="got 'video'"):
        read_inputs(["a"], "video")
    with pytest.raises(InputError, match="no input"):
        read_inputs([], "auto")


def test_a_request_cannot_hold_any_number_of_pixels(png, monkeypatch):
    monkeypatch.setattr(pyfunc_inputs, "_MOST_PIXELS", 2 * 63)
    assert len(read_inputs([png, "a", png], "auto")) == 3
    with pytest.raises(InputError, match="fewer images"):
        read_inputs([png, png, png], "auto")
