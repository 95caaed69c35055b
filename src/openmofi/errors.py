"""Errors that a user can mend, told in one line."""


class OpenMofiError(Exception):
    """Base of every error that this package raises on purpose.

    The message is one line that names what is wrong (file, field, address), and the fix. Entry
    points print it without a traceback and exit with code 2.
    """


class InputError(OpenMofiError):
    """What the user gave is wrong: a file, a column, a config key, an option."""


class StorageError(OpenMofiError):
    """The object store refused or could not be reached."""


class ShardError(OpenMofiError):
    """One shard could not be processed as a whole; the others are done."""
