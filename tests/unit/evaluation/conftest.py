import pytest

from support.evaluation import write_image_set
from support.evaluation_layouts import (
    SYNSETS,
    write_imagenet,
)


@pytest.fixture
def classes(tmp_path):
    return write_image_set(tmp_path / "set")


@pytest.fixture
def imagenet(tmp_path):
    return write_imagenet(tmp_path / "set", SYNSETS)
