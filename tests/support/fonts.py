"""The font that tests draw words with."""

from pathlib import Path

import pytest

FONT = "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf"
needs_font = pytest.mark.skipif(not Path(FONT).is_file(), reason="needs DejaVu")
