"""OpenMOFI: from a web crawl to an entity-labelled data set and a text-robust vision model."""

import os

__version__ = "0.1.0"

# Set by whoever starts a step as a process of its own.
if "OPENMOFI_ERROR_FILE" in os.environ:
    from openmofi import step_process

    step_process.set_up()
