"""A server for the tests, on the standard library alone: tells its environment and does as it is asked."""

import http.server
import json
import os
import signal
import subprocess
import sys
import threading

terminating = threading.Event()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        word, _, rest = self.path.strip("/").partition("/")
        if word == "exit":
            os._exit(int(rest))
        answer: object = {"pid": os.getpid(), "env": dict(os.environ), "cwd": os.getcwd(), "argv": sys.argv}
        if word == "say":
            print(rest, flush=True)
        elif word == "child":
            # In a session of its own when asked, as daemons do.
            child = subprocess.Popen(["sleep", "600"], start_new_session=rest == "session")
            answer = child.pid
        elif word == "drain":
            print("in flight", flush=True)
            terminating.wait()
            answer = "drained"
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


STRANGER = """
import socket, sys, time
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("listening", flush=True)
time.sleep(600)
"""


def lose_port(marker: str) -> None:
    """The first time (or times), let a program of its own have the port, as a server of another store might."""
    if os.path.exists(marker):
        with open(marker, encoding="ascii") as file:
            if len(file.read().split()) >= int(os.environ.get("LOSE_TIMES", "1")):
                return
    argv = [sys.executable, "-c", STRANGER, sys.argv[1]]
    env = {**os.environ, "USER": "somebody"}  # as from a shell
    stranger = subprocess.Popen(
        argv, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    )
    assert stranger.stdout is not None
    stranger.stdout.readline()
    with open(marker, "a", encoding="ascii") as file:
        file.write(f"{stranger.pid}\n")
    sys.exit(1)


def daemonize(marker: str) -> None:
    """Serve in a grandchild with a session of its own and end, as daemons of old do."""
    listening, told = os.pipe()
    if os.fork():
        os.close(told)
        os.read(listening, 1)
        sys.exit(0)
    os.setsid()
    if os.fork():
        os._exit(0)
    if "SILENT" in os.environ:
        for number in (0, 1, 2):
            os.dup2(os.open(os.devnull, os.O_RDWR), number)
    server = http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
    with open(marker, "a", encoding="ascii") as file:
        file.write(f"{os.getpid()} {sys.argv[1]}\n")
    os.write(told, b"x")
    server.serve_forever()


def main() -> None:
    if "LOSE" in os.environ:
        lose_port(os.environ["LOSE"])
    if "DAEMON" in os.environ:
        daemonize(os.environ["DAEMON"])
    for name in ("REFUSE", "CRASH"):
        if name in os.environ:
            print(os.environ[name], flush=True)
            sys.exit(78 if name == "REFUSE" else 3)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
    server.daemon_threads = False

    def terminate(*_: object) -> None:
        if "STUBBORN" not in os.environ:
            terminating.set()
            threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGTERM, terminate)
    print("listening", flush=True)
    server.serve_forever(poll_interval=0.02)
    # Waits for the requests in flight.
    server.server_close()


main()
