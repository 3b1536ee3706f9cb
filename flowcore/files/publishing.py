"""Give finished files their final names, each with its whole content; and replace files as a whole."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from flowcore.files.disk import is_same_file, rename_to_new, sync_directory, write_synced
from flowcore.files.partial import final_path, numbered, partial_path

NEW_SUFFIX = ".new"
"""Follows the name of a file while `write_whole` or `publish_from` writes its content."""


def write_whole(path: Path, data: bytes) -> None:
    """Create or replace a file. Readers see the old content or the new one, also after a kill or a power cut.

    ``data`` is written to ``path`` + ``.new``, which replaces ``path`` once it is on the disk. There may be one writer
    at a time: a ``.new`` file that a kill left is overwritten. Raises OSError.
    """
    new = path.with_name(path.name + NEW_SUFFIX)
    write_synced(new, data)
    os.rename(new, path)
    sync_directory(path.parent)


def publish(partial: Path, before: Callable[[Path], None] | None = None) -> Path:
    """Rename a finished ``.part`` file to its final name, or to a numbered one where that is taken. Returns the name.

    ``before`` is called with the name just before the file gets it, to write metadata beside it. If it raises, the file
    stays a ``.part``. After a kill, the same call finishes the work under the same name. Raises OSError.
    """
    for name in _final_names(partial):
        if os.path.lexists(name) and not is_same_file(partial, name):
            continue
        if before is not None:
            before(name)
        with suppress(FileExistsError):
            rename_to_new(partial, name)
            return name
    raise AssertionError("unreachable: the names are endless")


def publish_from(partial: Path, data: bytes) -> Path:
    """Write ``data``, made from a ``.part`` file, to its final name, or to a numbered one. Returns the name.

    The ``.part`` file stays; the caller removes it last. After a kill before that, the same call recognises its file by
    the content. Raises OSError.
    """
    new = partial.with_name(partial.name + NEW_SUFFIX)
    new.unlink(missing_ok=True)  # not truncated: after a kill it may be a second link to the finished file
    write_synced(new, data)
    for name in _final_names(partial):
        if (data or name == final_path(partial)) and _holds(name, data):
            new.unlink()
            return name
        with suppress(FileExistsError):
            rename_to_new(new, name)
            return name
    raise AssertionError("unreachable: the names are endless")


def set_aside(partial: Path, mark: str) -> Path:
    """Rename a damaged ``.part`` file: ``x.wav.part`` becomes ``x.damaged.wav.part``. Returns the name.

    Only the owner of ``x.wav.part`` makes such names from ``x``, so the name stays free between the check and the
    rename. Raises OSError.
    """
    own = final_path(partial)
    names = map(partial_path, numbered(own.with_stem(f"{own.stem}.{mark}")))
    name = next(name for name in names if not os.path.lexists(name))
    os.rename(partial, name)
    return name


def _final_names(partial: Path) -> Iterator[Path]:
    """Yield the name that ``partial`` stands for, then the numbered ones, except those that other flows write."""
    own = final_path(partial)
    return (name for name in numbered(own) if name == own or not partial_path(name).exists())


def _holds(path: Path, data: bytes) -> bool:
    return path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data
