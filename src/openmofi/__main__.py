"""``python -m openmofi``, which is what torchrun starts."""

import sys

from openmofi.cli import main

sys.exit(main())
