"""Images that the steps run in.

Both hold the library and kfp. Pin them by digest or commit in the environment of whoever compiles:
a moving tag would change what a compiled pipeline does. The names hold "python" because kfp.local
warns about any other.
"""

import os

CURATION = os.environ.get("OPENMOFI_CURATION_IMAGE", "openmofi-curation-python:0.1.0")
TRAINING = os.environ.get("OPENMOFI_TRAINING_IMAGE", "openmofi-training-python:0.1.0")
