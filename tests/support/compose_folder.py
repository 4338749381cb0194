"""A reader over a mapping from path to content, so that loader tests need no disk."""

from __future__ import annotations

from collections.abc import Callable

from havre.compose import LoadedProject, LoadRequest, load_project
from havre.compose.findings import fail

HERE = "/work"


class Folder:
    """Files by path relative to `/work` (or absolute); directories are those files lie in."""

    def __init__(self, files: dict[str, str | bytes]) -> None:
        self.files = {f"{HERE}/{path}".replace(f"{HERE}//", "/"): content for path, content in files.items()}
        self.reads: list[str] = []

    def read(self, path: str, shown: str) -> bytes:
        self.reads.append(path)
        if path not in self.files:
            raise fail(f"cannot read {shown}: no such file or directory", hint="check the path")
        content = self.files[path]
        return content.encode() if isinstance(content, str) else content

    def is_file(self, path: str) -> bool:
        return path in self.files

    def is_dir(self, path: str) -> bool:
        return any(file.startswith(f"{path}/") for file in self.files)

    def real(self, path: str) -> str:
        return path


def load(written: dict[str, str | bytes] | str, **request: object) -> LoadedProject:
    """Load a project whose files are given as text; one text is its compose.yaml."""
    folder = Folder({"compose.yaml": written} if isinstance(written, str) else written)
    options = {"working_dir": HERE, "environment": {}, **request}
    return load_project(LoadRequest(**options), read=folder)  # type: ignore[arg-type]


def message(call: Callable[[], object]) -> str:
    """The text of the HavreError a call raises."""
    from havre.errors import HavreError

    try:
        call()
    except HavreError as error:
        return str(error)
    raise AssertionError("no error was raised")


def refusal(written: dict[str, str | bytes] | str, **request: object) -> str:
    """What a user reads when a project cannot be loaded."""
    return message(lambda: load(written, **request))
