"""SA files: what a person writes down about security associations, and other tools print.

Three formats are read and written, told apart by their content: the project's
TOML, Wireshark's ``esp_sa`` table and the output of ``ip xfrm state``.  They are
described in specs/sa-files.md.  All become :class:`SaEntry`.
"""

from collections.abc import Sequence

from .esp_sa_writer import dumps_esp_sa
from .loading import Directions, Format, detect, load, load_all, loads
from .model import SaEntry, SaFileError, Select, check_unique
from .xfrm_writer import dumps_xfrm


def dumps_toml(entries: Sequence[SaEntry]) -> tuple[str, list[str]]:
    """``entries`` as the project's TOML, and warnings, of which there are none: it can say everything."""
    from .toml_writer import dumps_toml as dumps  # tomlkit is imported by those who write alone

    return dumps(entries)


__all__ = [
    "Directions",
    "Format",
    "SaEntry",
    "SaFileError",
    "Select",
    "check_unique",
    "detect",
    "dumps_esp_sa",
    "dumps_toml",
    "dumps_xfrm",
    "load",
    "load_all",
    "loads",
]
