"""The store: a folder per resource under `KAOS_HOME`. Commands write what is wished, the supervisor what is.

`<namespace>/<kind>/<name>/` holds `resource.yaml`, `source.json` and `secrets.json` (commands), `status.json`,
`local.json`, `log`, `log.1` and `files/` (supervisor). Removing `resource.yaml` is a deletion.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from kaos_cli.errors import CommandError
from kaos_cli.output import yaml_text
from kaos_cli.target import Ref, Resource

_KIND = re.compile(r"[A-Z][A-Za-z0-9]{0,62}")
_SEGMENT = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")


class Store:
    """Paths, atomic writes and plain reads; no locks, no processes."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @classmethod
    def default(cls) -> Store:
        """`KAOS_HOME`, else the platform's folder for a user's state."""
        home = os.environ.get("KAOS_HOME")
        if home:
            return cls(Path(home).expanduser().absolute())
        import platformdirs

        return cls(platformdirs.user_state_path("kaos"))

    def create(self) -> None:
        """Make the root, for its owner alone. Raises CommandError."""
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise cannot("create", self.root, error) from None

    def folder(self, ref: Ref) -> Path:
        """The folder of a resource. Raises CommandError for a name that would lead out of the store."""
        for part, form in ((ref.namespace, _SEGMENT), (ref.kind, _KIND), (ref.name, _SEGMENT)):
            if not form.fullmatch(part) or ".." in part:
                raise CommandError(f"{part[:80]!r} is no name of a namespace, kind or resource")
        return self.root / ref.namespace / ref.kind / ref.name

    def refs(self) -> list[Ref]:
        """Every resource that has a folder, sorted; also those being deleted."""
        return sorted(self._refs())

    def _refs(self) -> Iterator[Ref]:
        for namespace in _folders(self.root):
            for kind in _folders(namespace):
                for folder in _folders(kind):
                    if all(_SEGMENT.fullmatch(path.name) for path in (namespace, folder)) and _KIND.fullmatch(
                        kind.name
                    ):
                        yield Ref(kind.name, namespace.name, folder.name)

    def resource(self, ref: Ref) -> Resource | None:
        """What is wished; None when it is (being) deleted. Raises CommandError when it cannot be read."""
        from kaos_core.documents import load_one
        from kaos_core.errors import DocumentError

        path = self.folder(ref) / "resource.yaml"
        try:
            value = load_one(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (DocumentError, UnicodeDecodeError) as error:
            raise CommandError(f"{path}: {error}") from None
        except OSError as error:
            raise cannot("read", path, error) from None
        if not isinstance(value, dict):
            raise CommandError(f"{path} holds no resource")
        return value

    def write_resource(self, ref: Ref, resource: Resource) -> None:
        """Write what is wished; this makes it count. Raises CommandError."""
        self.write(self.folder(ref) / "resource.yaml", yaml_text(resource))

    def read_json(self, ref: Ref, name: str) -> dict[str, Any]:
        """One of the JSON files; empty when it is not there or cut off."""
        try:
            value = json.loads((self.folder(ref) / name).read_bytes())
        except (OSError, ValueError):
            return {}
        return value if isinstance(value, dict) else {}

    def write_json(self, ref: Ref, name: str, value: Mapping[str, Any]) -> None:
        """Write one of the JSON files, unless it says that already. Raises CommandError."""
        path = self.folder(ref) / name
        text = json.dumps(value, indent=1) + "\n"
        try:
            if path.read_text(encoding="ascii") == text:
                return
        except (OSError, UnicodeDecodeError):
            pass
        self.write(path, text)

    def write(self, path: Path, text: str) -> None:
        """Write atomically, readable by the owner alone. Raises CommandError naming the path."""
        temporary = ""
        try:
            self._make(path.parent)
            handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            Path(temporary).replace(path)
        except OSError as error:
            if temporary:
                Path(temporary).unlink(missing_ok=True)
            raise cannot("write", path, error) from None

    def _make(self, folder: Path) -> None:
        if folder != self.root and self.root in folder.parents:
            self._make(folder.parent)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def cannot(verb: str, path: Path, error: OSError) -> CommandError:
    """The one line for a file operation that failed."""
    return CommandError(
        f"cannot {verb} {path}: {error.strerror or error}", hint="make room, or set KAOS_HOME to another folder"
    )


def _folders(path: Path) -> list[Path]:
    try:
        return [
            Path(entry.path)
            for entry in os.scandir(path)
            if entry.is_dir(follow_symlinks=False) and not entry.name.startswith(".")
        ]
    except (FileNotFoundError, NotADirectoryError):
        return []
