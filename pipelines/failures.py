"""How a run can end badly."""

from openmofi.errors import OpenMofiError


class StepError(OpenMofiError):
    """A step has refused its input; the message is the step's own."""


class StepCrashError(Exception):
    """A step has ended without saying why in one line; its traceback is in its log."""
