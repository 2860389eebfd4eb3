"""The command that makes a study's product: what messages, figures and the report name."""

from __future__ import annotations

from collections.abc import Iterator

from autoloss.config import load_config, read_overrides
from autoloss.study.study import Study

OWN_FILE = "YOUR_CONFIGURATION"  # a study that no run has recorded: only its user knows its file


def snakemake(study: Study, *targets: str) -> str:
    """The shell command that makes `targets` of this very study; without targets: `all`."""
    words = ["snakemake", "--cores", "all", *targets]
    files = list(_files(study))
    return " ".join([*words, "--configfile", *files] if files else words)


def autoloss(study: Study, command: str) -> str:
    """The shell command `autoloss COMMAND` on this very study; its `--config` takes one file."""
    files = list(_files(study))
    if len(files) > 1:
        files = [_record(study)]
    return " ".join(["autoloss", command, *(["--config", *files] if files else [])])


def _files(study: Study) -> Iterator[str]:
    """The files of `--configfile`: those of scale and protocol where they do, or the record's."""
    scale, protocol = (
        f"configs/{key}/{getattr(study.config, key)}.yaml" for key in ("scale", "protocol")
    )
    for files in ((), (scale,), (protocol,), (scale, protocol)):
        overrides = read_overrides([study.root / file for file in files])
        if study.config == load_config(overrides, study.root):
            yield from files
            return
    yield _record(study)


def _record(study: Study) -> str:
    """The file that the last run left, if it says the same."""
    return str(study.config_file) if is_recorded(study) else OWN_FILE


def is_recorded(study: Study) -> bool | None:
    """Whether the last run of a study of this name was of this configuration; None: there is none.

    Raises:
        ConfigError: its record is no configuration of this version.
    """
    file = study.config_file
    if not file.exists():
        return None
    return load_config(read_overrides([file]), study.root) == study.config
