"""A container engine for the tests, by the name of docker: a container is a `plain.py` with a life of its own.

As with the real ones, a container outlives the client that runs it, keeps its name until it is removed, and `run` of a
name that is taken fails with 125. What it knows is in the folder that it stands in.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

folder, (command, *words) = Path(__file__).parent, sys.argv[1:]


def run() -> int:
    name, port = words[words.index("--name") + 1], words[words.index("-p") + 1].split(":")[1]
    place = folder / f"{name}.container"
    if place.exists():
        print(f"Error: the container name {name!r} is already in use")
        return 125
    argv = [sys.executable, folder / "plain.py", port]
    null = subprocess.DEVNULL
    container = subprocess.Popen(argv, stdout=null, stderr=null, start_new_session=True)
    place.write_text(str(container.pid))
    signal.signal(signal.SIGTERM, lambda *_: container.terminate())
    status = container.wait()
    place.unlink(missing_ok=True)
    return status


def remove() -> int:
    place = folder / f"{words[-1]}.container"
    if not place.exists():
        return 1
    os.kill(int(place.read_text()), signal.SIGKILL)
    place.unlink(missing_ok=True)
    return 0


sys.exit({"info": lambda: 0, "run": run, "rm": remove}[command]())
