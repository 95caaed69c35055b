"""A container engine that records what it is asked, and runs each step as a process."""

import os
import subprocess
import sys
import threading
from types import SimpleNamespace

import docker


class Container:
    """What the docker SDK calls a container: created, followed, waited for, removed."""

    def __init__(self, engine, command, options):
        self.id = f"c{len(engine.created)}"
        self.options, self.command = options, command
        self.removed, self.stopped = False, False
        self.process = None
        self._engine = engine

    def attach(self, **_):
        yield b"to the log\n", None
        yield None, "half a l\xe9".encode()[:-1]
        yield None, "half a l\xe9".encode()[-1:] + b"tter\nlast"
        if self._engine.break_down:
            raise docker.errors.APIError("the engine is gone")
        out, error = self.process.communicate()
        yield out, error

    def start(self):
        environment = {"PATH": os.environ["PATH"], **self.options["environment"]}
        # Without the entry point: what it signals is everybody, and here that is the machine.
        entry = [part.replace("python3 -m", f"{sys.executable} -m") for part in self.command]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        self.process = subprocess.Popen(entry, env=environment, **pipes)

    def wait(self):
        return {"StatusCode": self.process.wait()}

    def stop(self, timeout):
        self.stopped = timeout

    def remove(self, force):
        self.removed = force


class Engine:
    """Stands in for `docker.from_env()`: itself the client, and its ``containers``."""

    def __init__(self, images=(), revision="", options=()):
        self.created, self.asked, self.killed = [], [], []
        self.break_down = False
        self._images, self._revision, self._options = set(images), revision, list(options)
        self.containers = self.images = self.api = self
        self._lock = threading.Lock()

    def __call__(self, **_):
        return self

    def ping(self):
        return True

    def info(self):
        return {"SecurityOptions": self._options}

    def close(self):
        pass

    def get(self, image):
        if image not in self._images:
            raise docker.errors.ImageNotFound(image)
        revision = {"org.opencontainers.image.revision": self._revision}
        return SimpleNamespace(id=f"sha256:{image}", labels=revision)

    def create(self, image, command, **options):
        with self._lock:
            self.asked.append((image, options))
            self.created.append(Container(self, command, options))
            return self.created[-1]

    def kill(self, identity, signal):
        self.killed.append((identity, signal))

    def list(self, all, filters):
        key, value = filters["label"].split("=")
        assert all
        return [c for c in self.created if c.options["labels"].get(key) == value]
