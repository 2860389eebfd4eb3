"""The terms of use: shown before anything is downloaded, accepted where that must be said."""

from __future__ import annotations

import os

from autoloss.data.progress import Say
from autoloss.data.registry import SourceSpec
from autoloss.errors import DataError

ACCEPT = "AUTOLOSS_ACCEPT_LICENCE"  # names of sources, with commas: Snakemake's jobs inherit it
OFFLINE = "AUTOLOSS_OFFLINE"


def show_terms(source: SourceSpec, say: Say) -> None:
    """Say what the source is, its terms of use and how to cite it."""
    say(f"{source.title} ({source.homepage})")
    say(f"Terms of use: {source.licence}")
    say(f"Please cite: {source.citation}")


def require_acceptance(source: SourceSpec, accepted: bool) -> None:
    """Go on only if the terms of `source` need no acceptance, or have it."""
    named = os.environ.get(ACCEPT, "")
    if not source.must_accept or accepted or source.name in named.replace(",", " ").split():
        return
    tried = f" ({ACCEPT} is '{named}')" if named else ""
    raise DataError(
        source.name,
        f"nothing was downloaded: its terms of use must be accepted first{tried}:\n"
        f"    {source.licence.strip()}",
        f"read these terms and {source.homepage}; if you accept them, run `autoloss fetch "
        f"{source.name} --accept-licence`, or for a workflow set {ACCEPT}={source.name}",
    )


def require_network(source: SourceSpec) -> None:
    """Go on only if the network may be used."""
    if os.environ.get(OFFLINE, "0") in ("", "0"):
        return
    places = "\n    ".join(mirror.label for mirror in source.mirrors)
    raise DataError(
        source.name,
        f"{OFFLINE} is set, so no network is tried",
        f"unset it; or bring one of these from a machine with a network:\n    {places}\n"
        f"  and run `autoloss data import {source.name} FILE...`",
    )
