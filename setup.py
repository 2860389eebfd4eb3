"""A wheel has the methods as `autoloss.baselines`: a package `baselines` could be anybody's."""

from __future__ import annotations

from setuptools import setup
from setuptools.command.build_py import build_py


class WithMethods(build_py):
    """Packs `baselines/` into `autoloss`; where the project is installed for editing it stays."""

    def finalize_options(self) -> None:
        """The methods are a package more."""
        super().finalize_options()
        if not self.editable_mode:
            self.packages = [*self.packages, "autoloss.baselines"]
            self.package_dir = {**(self.package_dir or {}), "autoloss.baselines": "baselines"}


setup(cmdclass={"build_py": WithMethods})
