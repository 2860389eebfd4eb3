"""A copy of the project with miniature raw data, to run the real workflow in."""

from __future__ import annotations

import atexit
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numba.core.caching import _CacheLocator

from autoloss.data.manifest import RawFile, RawManifest, write_manifest
from tests.tiny import ROOT
from tests.workflow.preloaded import start

PARTS = ("Snakefile", "environment.yml", "autoloss", "baselines", "configs", "profiles")
# Left out: the README's example, which tests write themselves.
NOT_COPIED = shutil.ignore_patterns("*.pyc", "mine.py")
RATINGS = 600
PEOPLE = 400
USER_HEADER = "user_id:token\tage:token\tgender:token\toccupation:token\tzip_code:token\n"
ITEM_HEADER = "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"


# The study that `config` and `make_default` lay over a scale: minutes, with every kind of product.
SMALL = {
    "study": {
        "methods": ["ce", "al1", "grid", "autoloss"],
        "models": ["deepfm"],
        "frequencies": [3, 7],
        "max_rows": None,
    },
    "model": {"embedding_dim": 4, "hidden": [8]},
    "training": {"batch_size": 64, "device": "cpu"},
}


class Project:
    """A folder with the project's own files, and commands run inside it; the one that is there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.raw = folder / "data" / "raw" / "movielens-100k"
        if not (folder / "Snakefile").exists():
            self._make()

    def _make(self) -> None:
        self.folder.mkdir(exist_ok=True)
        for part in PARTS:
            source = ROOT / part
            if source.is_dir():
                shutil.copytree(source, self.folder / part, ignore=NOT_COPIED)
            else:
                shutil.copy(source, self.folder / part)
        self.take_kernels(self.folder / "autoloss" / "ops" / "kernels")
        for name in ("ml100k", "ml100k-ctr", "adult"):
            self._small_dataset(self.folder / "configs" / "datasets" / f"{name}.yaml")
        self.write_raw()
        self._write_adult()

    def copied_to(self, folder: Path) -> Project:
        """The same project, with all that has been made in it, in another folder."""
        shutil.copytree(self.folder, folder, symlinks=True)
        self.take_kernels(folder / "autoloss" / "ops" / "kernels")
        return Project(folder)

    @staticmethod
    def take_kernels(package: Path) -> None:
        """Compiled kernels come along: numba names their folder by the path of the code."""
        own = _CacheLocator.get_suitable_cache_subpath(str(package / "runtime.py"))
        for compiled in package.glob("__pycache__/*/kernels_*"):
            if not (place := compiled.with_name(own)).exists():  # some are of a folder before
                compiled.rename(place)

    @staticmethod
    def _small_dataset(file: Path) -> None:
        """The data set's own description, but for counts that only the real file has."""
        spec = yaml.safe_load(file.read_text())
        spec.pop("expected")
        for field in spec["fields"]:
            field["min_count"] = 1
        file.write_text(yaml.safe_dump(spec))

    def write_raw(self, ratings: str | None = None) -> None:
        """Raw files in RecBole's format, with a planted effect of user and item."""
        random = np.random.default_rng(0)
        users, items = random.integers(1, 21, RATINGS), random.integers(1, 16, RATINGS)
        taste, quality = random.normal(size=21), random.normal(size=16)
        score = taste[users] + quality[items] + random.normal(size=RATINGS) / 2
        stars = 1 + np.searchsorted(np.quantile(score, [0.1, 0.3, 0.55, 0.8]), score)
        lines = [
            f"{u}\t{i}\t{s}\t88125{k:04}"
            for k, (u, i, s) in enumerate(zip(users, items, stars, strict=True))
        ]
        header = "user_id:token\titem_id:token\trating:float\ttimestamp:float"
        texts = {
            "ml-100k.inter": ratings or "\n".join([header, *lines]) + "\n",
            "ml-100k.user": USER_HEADER
            + "".join(f"{u}\t{20 + u}\tM\twriter\t1000{u % 7}\n" for u in range(1, 21)),
            "ml-100k.item": ITEM_HEADER
            + "".join(f"{i}\tFilm {i}\t199{i % 9}\tDrama\n" for i in range(1, 16)),
        }
        self._write(self.raw, "recbole", texts)

    def _write_adult(self) -> None:
        """Raw files in UCI's format, with a planted effect of occupation and age."""
        random = np.random.default_rng(1)
        ages, jobs = random.integers(20, 60, PEOPLE), random.integers(0, 8, PEOPLE)
        score = random.normal(size=8)[jobs] + (ages - 40) / 10 + random.normal(size=PEOPLE) / 2
        rich = score > np.quantile(score, 0.7)
        lines = [
            f"{age}, Private, 1, HS-grad, 9, Divorced, Job-{job}, Unmarried, White, Male, "
            f"0, 0, {30 + age % 20}, ?, {'>50K' if over else '<=50K'}"
            for age, job, over in zip(ages, jobs, rich, strict=True)
        ]
        test = ["|1x3 Cross validator", *(f"{line}." for line in lines[: PEOPLE // 3])]
        texts = {"adult.test": test, "adult.data": lines[PEOPLE // 3 :]}
        self._write(
            self.folder / "data" / "raw" / "adult",
            "uci",
            {name: "\n".join(content) + "\n" for name, content in texts.items()},
        )

    @staticmethod
    def _write(folder: Path, form: str, texts: dict[str, str]) -> None:
        """A raw folder as `autoloss fetch` leaves it, named like its source."""
        folder.mkdir(parents=True, exist_ok=True)
        files = []
        for name, text in texts.items():
            (folder / name).write_text(text)
            content = text.encode()
            digest = hashlib.sha256(content).hexdigest()
            files.append(RawFile(name=name, bytes=len(content), sha256=digest))
        manifest = RawManifest(
            source=folder.name, mirror="test", format=form, files=tuple(files), fetched="now"
        )
        write_manifest(folder, manifest)

    def config(self, **keys: object) -> str:
        """A configuration file over the smoke scale; its path."""
        return self._write_config("tiny.yaml", {"scale": "smoke", **overlaid(SMALL, keys)})

    def make_default(self) -> None:
        """Make the study of `config` the one that is made without a configuration file."""
        scales = self.folder / "configs" / "scale"
        smoke = yaml.safe_load((scales / "smoke.yaml").read_text())
        self._write_config(
            "configs/scale/laptop.yaml", {**overlaid(smoke, SMALL), "scale": "laptop"}
        )

    def varied(self, **keys: object) -> str:
        """A configuration file with these keys alone, over the default study; its path."""
        return self._write_config("varied.yaml", keys)

    def _write_config(self, name: str, content: dict[str, object]) -> str:
        (self.folder / name).write_text(yaml.safe_dump(content))
        return name

    def snakemake(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`snakemake --cores 2 ARGUMENTS`, output and errors in `stdout`."""
        return self.run(preloaded(), "-m", "snakemake", "--cores", "2", *arguments)

    def autoloss(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`autoloss ARGUMENTS`."""
        return self.run(preloaded(), "-m", "autoloss", *arguments)

    def environment(self) -> dict[str, str]:
        """What its commands see: this project's code before any other, compiled once."""
        left_out = ("PYTEST", "PYTHONDONTWRITEBYTECODE")
        own = {k: v for k, v in os.environ.items() if not k.startswith(left_out)}
        return {**own, "PYTHONPATH": str(self.folder)}

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """A command run in the folder, output and errors in `stdout`."""
        return subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )


@cache
def preloaded() -> str:
    """What commands are run by: this process' stand-in for Python; where forks fail, Python."""
    if sys.platform != "linux":
        return sys.executable
    folder = tempfile.mkdtemp(prefix="autoloss-")
    atexit.register(shutil.rmtree, folder)  # after what `start` registers
    return start(folder)


def overlaid(content: dict[str, Any], keys: Mapping[str, Any]) -> dict[str, Any]:
    """`content` with the keys of `keys` laid over it, section by section."""
    sections = [key for key in keys if isinstance(content.get(key), dict)]
    return {**content, **keys, **{key: {**content[key], **keys[key]} for key in sections}}


def digests(folder: Path) -> dict[str, str]:
    """What every run's metrics and final weights hash to."""
    records = (folder / "results").glob("*/runs/*/*/*/seed_*.json")
    return {
        str(file.relative_to(folder)): json.loads(file.read_text())["digest"]
        for file in records
        if not file.stem.startswith("seeds")
    }


def tables(folder: Path) -> dict[str, bytes]:
    """Every table's numbers."""
    return {file.name: file.read_bytes() for file in folder.glob("results/smoke/tables/*.csv")}


def process_of(command: str, folder: Path) -> tuple[int, dict[str, str]] | None:
    """The process in `folder` with `command` in its command line, and its environment."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().decode().split("\0")
            environment = (process / "environ").read_bytes().decode().split("\0")
            here = (process / "cwd").samefile(folder)
        except OSError:
            continue
        if here and words[1:2] == ["-m"] and " ".join(words[2:]).startswith(command):
            return int(process.name), dict(entry.partition("=")[::2] for entry in environment)
    return None
