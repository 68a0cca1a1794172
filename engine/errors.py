"""Errors a person sees: what is missing, how we know, what to do. Exit codes of DESIGN section 10."""

from __future__ import annotations

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_REFUSED = 3
EXIT_INTERRUPTED = 130


class OperatorError(Exception):
    """A failure told in one plain sentence that ends with what to do; never shown as a traceback."""

    exit_code = EXIT_FAILED


class UsageError(OperatorError):
    """The call or the settings are wrong: an unknown key, a value out of range, a missing file."""

    exit_code = EXIT_USAGE


class RefusedError(OperatorError):
    """A gate or a missing approval says no. Nothing was changed."""

    exit_code = EXIT_REFUSED


class DataError(OperatorError):
    """Market data that must not be used: NaN bars, missing columns, an incomplete session."""


class StorageError(OperatorError):
    """A database that cannot be read or written: corrupt, from a newer version, held by another process."""
