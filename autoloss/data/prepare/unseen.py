"""How much of validation and test data a model cannot know, where a date or a column splits."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from autoloss.data.manifest import MANIFEST, Manifest, read_manifest


def unseen(folder: Path) -> str:
    """By field, in how many validation and test rows of a prepared split the id is 0: in words.

    Their values are rare in training (`min_count`) or absent from it. "" where none is.
    """
    manifest = read_manifest(folder, Manifest, f"prepare {folder} again, without {MANIFEST}")
    later = np.load(folder / "ids.npy", mmap_mode="r")[manifest.splits["train"] :]
    counts = {field.name: int((later[:, k] == 0).sum()) for k, field in enumerate(manifest.fields)}
    shown = [f"{name} {n:,} ({n / len(later):.0%})" for name, n in counts.items() if n]
    if not shown:
        return ""
    what = "values that training has not, or too rarely for an id"
    return f"of {len(later):,} validation and test rows so many have {what}: {', '.join(shown)}"
