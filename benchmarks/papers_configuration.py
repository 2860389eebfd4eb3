"""Seconds of a step in the paper's configuration: `python benchmarks/papers_configuration.py 5`.

Cross-entropy and AutoLoss, with both kinds of updates, in turns of a few steps, so many rounds of
ROUND turns; a line of JSON. The steps read their batches from all of the memory map.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from scales import PAPER, block

ROUND = 12  # turns
METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    "ce": ("ce", {}),
    "autoloss, simultaneous updates": ("autoloss", {"updates": "simultaneous"}),
    "autoloss, alternating updates": ("autoloss", {"updates": "alternating"}),
}


def main(rounds: int) -> None:
    """Print seconds of a step by method, a number for each turn; the batch; and all values."""
    trainers = {
        name: PAPER.trainer(method, keys={"methods": {method: options}} if options else {})
        for name, (method, options) in METHODS.items()
    }
    seconds: dict[str, list[float]] = {name: [] for name in trainers}
    for turn in range((rounds + 1) * ROUND):
        for name, trainer in trainers.items():
            took = block(trainer)
            seconds[name] += [took] if turn >= ROUND else []  # memory is fetched in the first round
    trainer = next(iter(trainers.values()))
    values = sum(trainer.data.field_sizes)
    print(json.dumps({"seconds": seconds, "batch": trainer.options.batch_size, "values": values}))


if __name__ == "__main__":
    main(int(sys.argv[1]))
