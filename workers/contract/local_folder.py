"""A local folder as the user wrote it, made absolute."""

from __future__ import annotations

import os
from pathlib import Path

from workers.contract.errors import user_error

_LONGEST_NAME, _LONGEST_PATH = 255, 3800
"""In bytes, as file systems of Linux have them; some are left for the files inside."""


def local_folder(written: str, where: str) -> Path:
    """Return the absolute path of a folder, with "~" and "~name" replaced, without touching it.

    Raises:
        UserError: The home folder is not known, the folder we stand in is gone, no file system takes
            names that long, or the path holds a zero byte or cannot be told to other processes, which get it as JSON.
    """
    if "\0" in written:
        raise user_error(
            f"a path that holds a zero byte: {written[:60]!r}",
            where=where,
            mend="write the path without it",
        )
    try:
        folder = Path(written).expanduser().absolute()
    except RuntimeError as error:
        raise user_error(
            f"{written!r} names a home folder that is not known",
            where=where,
            mend="write the whole path",
        ) from error
    except FileNotFoundError as error:
        raise user_error(
            f"{written!r} is meant from the folder we stand in, which is gone",
            where=where,
            mend="go to another folder, or write the whole path",
        ) from error
    if any("\ud800" <= character <= "\udfff" for character in str(folder)):
        told = os.fsencode(written)[:60]
        raise user_error(
            f"a path that is not UTF-8: {told!r}", where=where, mend="rename the folder"
        )
    if max(len(os.fsencode(part)) for part in folder.parts) > _LONGEST_NAME:
        fault = f"a name in the path is longer than {_LONGEST_NAME} bytes"
    elif len(os.fsencode(folder)) > _LONGEST_PATH:
        fault = f"the path is longer than {_LONGEST_PATH} bytes"
    else:
        return folder
    raise user_error(f"{fault}: {written[:60]}…", where=where, mend="choose a shorter path")
