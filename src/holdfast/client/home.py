"""Where a user's own files lie: keys and journals."""

from collections.abc import Mapping
from pathlib import Path


def find_home(environment: Mapping[str, str]) -> Path:
    """Return the folder: HOLDFAST_HOME, else `holdfast` in the user's data folder."""
    if home := environment.get("HOLDFAST_HOME"):
        return Path(home).expanduser()
    data = environment.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local" / "share") / "holdfast"
