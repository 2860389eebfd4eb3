"""One system, trained on command: `python worker.py SYSTEM[:HOW] NETWORK VOCABULARY`.

Reads a command a line from standard input, `train` (one pass over the training rows, in the
system's own data loader and loop) or `evaluate`, and answers each with a line of JSON.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import sys
import time
from typing import TYPE_CHECKING

import numpy as np
import task

os.environ["OMP_NUM_THREADS"] = str(task.THREADS)
import torch

if TYPE_CHECKING:
    from systems.base import System


def main(name: str, network: str, vocabulary: int) -> None:
    """Answer commands until there are no more."""
    answers, sys.stdout = sys.stdout, sys.stderr  # libraries talk
    torch.set_num_threads(task.THREADS)
    torch.manual_seed(0)
    kind, _, how = name.partition(":")
    module = importlib.import_module(f"systems.{kind}")
    system: System = module.System(vocabulary, task.NETWORKS[network], how)
    print("ready", file=answers, flush=True)
    for command in sys.stdin:
        started = time.perf_counter()
        answer: dict[str, float] = {}
        if command.strip() == "train":
            system.train()
        else:
            labels = task.make(vocabulary)[1][-task.TEST :]
            answer["auc"] = task.auc(labels, np.asarray(system.predict(), dtype=np.float64))
        answer["seconds"] = time.perf_counter() - started
        answer["memory_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], task.VOCABULARIES[sys.argv[3]])
