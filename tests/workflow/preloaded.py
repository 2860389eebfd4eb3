"""A stand-in for Python: its commands are forks of a process that has imported the libraries.

Most of what a command takes on miniature data is the import of torch, pandas, Snakemake and others.
The project's own code is imported by every command for itself, from its own folder. Run as a file,
this is the process that forks, or, with `-S`, one of the commands that ask it to.
"""

from __future__ import annotations

import json
import os
import socket
import sys

# Not Polars, nor statsmodels, which imports it: it starts threads, and a fork has none of them.
LIBRARIES = (
    *("snakemake.cli", "snakemake.report", "pandas", "pyarrow.parquet", "pydantic", "typer"),
    *("torch", "numba", "scipy.optimize", "scipy.stats", "psutil", "filelock", "rich.progress"),
    *("matplotlib.pyplot", "seaborn", "networkx", "jinja2"),
)
OF_JEMALLOC = "jemalloc_bg_thd"  # pyarrow's, which a fork starts anew
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
SCRIPT = """#!/bin/sh
case "$1" in
-m) exec {python} -S -E {file} ask {place} "$@" ;;
*) exec {python} "$@" ;;
esac
"""


def start(folder: str) -> str:
    """A stand-in in `folder`, an executable file; the process behind it ends with this one."""
    import atexit
    import subprocess
    from shlex import quote

    script, place = f"{folder}/python", f"{folder}/socket"
    words = {"python": sys.executable, "file": __file__, "place": place}
    with open(script, "w") as file:
        file.write(SCRIPT.format(**{name: quote(word) for name, word in words.items()}))
    os.chmod(script, 0o755)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(place)
        listener.listen(16)
        process = subprocess.Popen(
            [sys.executable, __file__, "serve", str(listener.fileno()), script],
            stdin=subprocess.PIPE,
            env={k: v for k, v in os.environ.items() if not k.startswith("PYTHON")} | ONE_THREAD,
            pass_fds=[listener.fileno()],
        )
    atexit.register(process.communicate)  # closes its stdin, and waits
    return script


def serve(listener: socket.socket, script: str) -> str:
    """Fork for whoever asks; in the fork, the module that it is to run."""
    import gc
    from contextlib import suppress
    from importlib import import_module
    from select import select

    gc.disable()
    for name in LIBRARIES:
        import_module(name)
    gc.freeze()
    gc.enable()
    assert {*threads()} <= {OF_JEMALLOC}, "a library has started a thread"
    own = sys.path[1:]
    while listener in select([listener, sys.stdin], [], [])[0]:
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            _, files, *_ = socket.recv_fds(connection, 1, 3)
            with connection.makefile() as asked:
                told = json.load(asked)
            if (command := os.fork()) == 0:
                connection.close()
                return become(told, files, own, script)
            status = os.waitstatus_to_exitcode(os.waitpid(command, 0)[1])
            connection.sendall(str(status).encode())
            os._exit(0)
        connection.close()
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG) != (0, 0):
                pass
    os._exit(0)


def threads() -> list[str]:
    """Names of this process's threads, the main one apart."""
    tasks = [task for task in os.listdir("/proc/self/task") if int(task) != os.getpid()]
    return [open(f"/proc/self/task/{task}/comm").read().strip() for task in tasks]


def become(told: dict, files: list[int], libraries: list[str], script: str) -> str:
    """Take over what a command was started with; the module that it is."""
    for number, file in enumerate(files):
        os.dup2(file, number)
    sys.stdin, sys.stdout = os.fdopen(0, closefd=False), os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", 1, errors="backslashreplace", closefd=False)
    os.chdir(told["folder"])
    os.environ.clear()
    os.environ.update(told["environment"])
    _, module, *words = told["words"]
    sys.executable, sys.argv = script, [module, *words]
    paths = told["environment"].get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:] = [told["folder"], *filter(None, paths), *libraries]
    return module


def ask(place: str, words: list[str]) -> int:
    """Have a command run with what this process was started with; its exit status."""
    told = {"words": words, "folder": os.getcwd(), "environment": dict(os.environ)}
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(place)
        socket.send_fds(connection, [b"."], [0, 1, 2])
        connection.sendall(json.dumps(told).encode())
        connection.shutdown(socket.SHUT_WR)
        status = int(connection.makefile().read())
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    if sys.argv[1] == "ask":
        sys.exit(ask(sys.argv[2], sys.argv[3:]))
    asked_for = serve(socket.socket(fileno=int(sys.argv[2])), sys.argv[3])
    import runpy

    runpy.run_module(asked_for, run_name="__main__", alter_sys=True)
