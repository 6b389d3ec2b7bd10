"""What can go wrong with a backup, in words for the person at the desk.

::

    BackupError          exit code 1: the thing asked for failed; nothing that was there before is lost
    ├── WrongUse         exit code 2: a setting is missing or makes no sense
    └── OutOfReach       exit code 3: PostgreSQL does not answer
"""

from typing import ClassVar


class BackupError(Exception):
    """A backup was not made, not restored or does not hold; its text stands for itself."""

    exit_code: ClassVar = 1


class WrongUse(BackupError):
    """A setting or an argument is missing or makes no sense."""

    exit_code: ClassVar = 2


class OutOfReach(BackupError):
    """PostgreSQL does not answer."""

    exit_code: ClassVar = 3
