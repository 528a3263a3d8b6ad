"""Builder: docker, podman or buildah, whichever answers. The only module of `images` that starts one of them."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

TOOLS = ("docker", "podman", "buildah")
ARGUMENTS = "KAOS_BUILD_ARGS"
_ANSWER_SECONDS = 60


class BuilderError(Exception):
    """There is no builder, or it failed."""


@dataclass(frozen=True)
class Builder:
    """One that answers.

    Attributes:
        program: its path; the name is `docker`, `podman` or `buildah`.
        arguments: what every build is given too.
    """

    program: Path
    arguments: tuple[str, ...] = ()

    def build(self, containerfile: Path, context: Path, ref: str, more: Sequence[str] = ()) -> None:
        """Build an image; what the builder says goes to this process's output. Raises BuilderError."""
        command = [self.program, "build", *self.arguments, *more, "--file", containerfile, "--tag", ref, context]
        done = subprocess.run([str(part) for part in command], check=False)  # noqa: S603
        if done.returncode:
            raise BuilderError(f"{self.program.name} could not build {ref} (status {done.returncode})")

    def size(self, ref: str) -> int:
        """Bytes of an image without its compression. Raises BuilderError."""
        if self.program.name == "buildah":
            # It inspects no sizes; its listing has them for people: `251 MB`.
            return _bytes(self._said("images", "--format", "{{.Size}}", ref).splitlines()[0])
        return int(self._said("image", "inspect", "--format", "{{.Size}}", ref))

    def _said(self, *arguments: str) -> str:
        done = subprocess.run([str(self.program), *arguments], capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode:
            raise BuilderError(f"{self.program.name} {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout.strip()


def find(environ: Mapping[str, str], arguments: Sequence[str] = ()) -> Builder:
    """The first of `TOOLS` on PATH whose `info` answers; a docker client without its daemon does not.

    `KAOS_BUILD_ARGS`, split as a shell would, and then `arguments` go to each build.

    Raises:
        BuilderError: none answers, with what each said.
    """
    tried = []
    for name in TOOLS:
        path = shutil.which(name, path=environ.get("PATH"))
        if path is None:
            tried.append(f"{name} is not on PATH")
            continue
        wrong = _wrong_with(path)
        if not wrong:
            return Builder(Path(path), (*shlex.split(environ.get(ARGUMENTS, "")), *arguments))
        tried.append(f"{path} info: {wrong}")
    raise BuilderError("no builder answers:\n- " + "\n- ".join(tried))


def _wrong_with(path: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603
            [path, "info"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_ANSWER_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    said = (done.stderr or done.stdout).strip().splitlines() or ["no word"]
    return said[-1] if done.returncode else ""


def _bytes(text: str) -> int:
    """`251 MB` -> 251000000. Raises BuilderError."""
    number, _, unit = text.partition(" ")
    powers = {"B": 0, "KB": 1, "MB": 2, "GB": 3}
    try:
        return int(float(number) * 1000 ** powers[unit.upper()])
    except (ValueError, KeyError):
        raise BuilderError(f"{text!r} is no size") from None
