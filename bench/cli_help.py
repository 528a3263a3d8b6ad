"""What `kaos --help` costs beside `kaos-cli` 0.8.4 of the package index: CPU seconds of one run, as a ratio.

    KAOS_BENCH_PYTHON=python3.12 python bench/cli_help.py

Both are installed into virtual environments of their own, with the one interpreter (3.12 or later) that
KAOS_BENCH_PYTHON names, and run in turns as cold processes. What counts is user + system time of the process and its
children. The first run of each, which writes bytecode and the index of commands, is told apart and not counted.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

PEER = "kaos-cli==0.8.4"
RUNS = 25
TARGET = 0.5
PACKAGES = Path(__file__).resolve().parents[1] / "packages"


def main() -> int:
    """Measure and print; 1 when it cannot be measured."""
    python = os.environ.get("KAOS_BENCH_PYTHON", sys.executable)
    try:
        version = _output(python, "-c", "import sys; print('.'.join(map(str, sys.version_info[:3])))")
        if tuple(map(int, version.split(".")[:2])) < (3, 12):
            print(f"KAOS_BENCH_PYTHON is {python}, Python {version}; {PEER} needs 3.12 or later")
            return 1
        with tempfile.TemporaryDirectory(prefix="kaos-bench-") as folder:
            _measure(python, version, Path(folder))
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"cannot measure: {error}")
        return 1
    return 0


def _measure(python: str, version: str, folder: Path) -> None:
    folders = sorted(path.parent for path in PACKAGES.glob("*/pyproject.toml"))
    # The extra is what the command's own dependencies ask for; pip wants it where it resolves the folder.
    ours = [f"{path}[server]" if path.name == "kaos-runtime-rawpython" else str(path) for path in folders]
    commands = {
        "ours": _environment(python, folder / "ours", ours),
        "peer": _environment(python, folder / "peer", [PEER]),
    }
    env = {"PATH": os.environ.get("PATH", ""), "HOME": str(folder), "COLUMNS": "80"}
    first = {name: _cpu(command, env) for name, command in commands.items()}
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(RUNS):
        for name, command in commands.items():
            times[name].append(_cpu(command, env))
    ours_median, peer_median = (statistics.median(times[name]) for name in ("ours", "peer"))
    ratio = ours_median / peer_median
    print(f"kaos --help, CPU user+sys, median of {RUNS} runs each, in turns, Python {version}")
    for name, median in (("ours", ours_median), ("peer", peer_median)):
        versions = _versions(commands[name])
        print(f"  {name}   {median * 1000:6.1f} ms   (first run {first[name] * 1000:.1f} ms)   {versions}")
    print(f"  ratio  {ratio:.2f}   target {TARGET}   {'ok' if ratio <= TARGET else 'MISSED'}")


def _environment(python: str, folder: Path, requirements: list[str]) -> Path:
    """A virtual environment with these requirements; the path of its `kaos`."""
    subprocess.run([python, "-m", "venv", folder], check=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, *requirements], check=True)
    return folder / "bin" / "kaos"


def _cpu(command: Path, env: dict[str, str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([command, "--help"], env=env, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _versions(command: Path) -> str:
    """The distributions that matter, as they are installed there."""
    script = (
        "from importlib.metadata import distributions as d; "
        "print(', '.join(sorted(f'{x.name} {x.version}' for x in d() if x.name.startswith(('kaos', 'typer')))))"
    )
    return _output(str(command.with_name("python")), "-c", script)


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    raise SystemExit(main())
