"""Text files as lines, whatever their encoding and line ends."""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import NoReturn

from lab.errors import refuse

_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def unreadable(path: Path, reason: Exception | str) -> NoReturn:
    """Refuse a file that is damaged or not of its format."""
    text = str(reason).splitlines()[0] if str(reason) else type(reason).__name__
    fix = f"save it again as {path.suffix}; `lab.data.files.read` describes the layout"
    refuse("path", f"{path} ({text})", f"a readable {path.suffix} file", fix)


def read_lines(path: Path) -> list[str]:
    """All lines of a file in UTF-8, or in UTF-16 or UTF-32 with a byte order mark, without their line ends.

    Raises
    ------
    LabError
        Another encoding, or a binary file.
    """
    allowed, fix = f"a readable .{path.suffix[1:]} file in UTF-8", "save it as UTF-8 text (in Excel: CSV UTF-8)"
    try:
        content = path.read_bytes()
        encoding = next((name for mark, name in _MARKS.items() if content.startswith(mark)), "utf-8")
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        refuse("path", f"{path} in another encoding (byte {error.start} is no {error.encoding})", allowed, fix)
    except (OSError, MemoryError) as error:
        unreadable(path, error)
    if "\0" in text:
        refuse("path", f"{path} with zero bytes: binary data, or UTF-16 without a byte order mark", allowed, fix)
    text = text.replace("\ufeff", "")  # also where files with a mark were joined
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
