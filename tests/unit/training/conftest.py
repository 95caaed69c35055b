import pytest

from openmofi.errors import InputError
from openmofi.models.device import check_compiler


@pytest.fixture
def compiler() -> None:
    """What torch.compile needs; a machine may lack it."""
    try:
        check_compiler("cpu")
    except InputError as error:
        pytest.skip(str(error))
