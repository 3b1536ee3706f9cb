"""Files that survive kills and power cuts, never overwrite one another, and are never seen unfinished.

- `flowcore.files.partial`: files that grow, called ``….part`` until they are finished
- `flowcore.files.publishing`: final names for finished files, and files that are replaced as a whole
- `flowcore.files.folder`: the folder that files go to
- `flowcore.files.disk`: the system calls below them
"""

from flowcore.files.disk import cannot_write, free_space, is_writable
from flowcore.files.folder import Folder
from flowcore.files.partial import PARTIAL_SUFFIX, FileRemoved, NewFile, abandoned, partial_path
from flowcore.files.publishing import publish, publish_from, set_aside, write_whole

__all__ = [
    "PARTIAL_SUFFIX",
    "FileRemoved",
    "Folder",
    "NewFile",
    "abandoned",
    "cannot_write",
    "free_space",
    "is_writable",
    "partial_path",
    "publish",
    "publish_from",
    "set_aside",
    "write_whole",
]
