"""What can go wrong between here and the Pipelines API."""

from openmofi.errors import OpenMofiError


class ClusterError(OpenMofiError):
    """The API refused or could not be reached; one line that names it and the fix."""


class NotThereError(ClusterError):
    """What was asked for does not exist, or not under this address."""


class TakenError(ClusterError):
    """The name is taken, or the object has changed meanwhile."""


class UncertainError(ClusterError):
    """The answer was lost after the request had left: whether it was carried out is not known."""


class EndedError(Exception):
    """A run that was waited for has not ended well; ``code`` is the command's exit status."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code
