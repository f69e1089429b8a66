"""Files that lines are appended to."""

from __future__ import annotations

import codecs
import os

from ._arguments import StrPath, brief, path_of
from ._native import Error


def check_log(log_path: StrPath | None) -> None:
    """Refuses a file that lines cannot be appended to, or that is no text."""
    if log_path is None:
        return
    path = path_of(log_path, "log_path")
    if not os.path.isdir(os.path.dirname(os.path.realpath(path))):
        raise Error(f"log_path: {brief(path)} is in no folder that exists")
    if not os.path.isfile(path):
        if os.path.exists(path):
            raise Error(f"log_path: {brief(path)} is not a file")
        return
    try:
        with open(path, "rb") as file:
            start = file.read(4096)
    except OSError as problem:
        raise Error(f"log_path: cannot read {brief(path)}: {problem.strerror}") from None
    try:
        # The last character may be cut.
        text = codecs.getincrementaldecoder("utf-8")().decode(start)
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise Error(f"log_path: {brief(path)} is not a text file, and lines would be appended to it; name another one")
