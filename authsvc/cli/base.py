"""The group of commands that knows the directory's faults as well as the records'."""

from __future__ import annotations

from dirclient.model.errors import DirectoryError
from kerauno.cli_base import Commands as RecordCommands


class Commands(RecordCommands):
    """Turns every fault of records and directory into a message and exit code 1."""

    also = (DirectoryError,)
