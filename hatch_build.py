"""Builds a wheel whose protocol is compiled, if OMTCP_COMPILE=1 asks for that.

The sources go into the wheel as well; an extension beside one is imported instead of it, and
tracebacks still show lines. Everything is made in a temporary directory: an extension that
lingered in a checkout would hide the source from whoever edits it.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

COMPILED = ("wire", "core")
"""Packages under src/omtcp; docs/compiled.md tells what that is worth, and why no others."""

OPTIMIZATION = {"1": "3", "fast": "0"}
"""By the value of OMTCP_COMPILE. What is to be tested needs to be correct, not quick."""


class CompileHook(BuildHookInterface[Any]):
    """Hatchling calls it for every build; most of the time it has nothing to do."""

    PLUGIN_NAME = "custom"
    _directory = ""

    def _level(self) -> str | None:
        """How hard the C compiler is to try; None for a wheel of pure Python."""
        wanted = os.environ.get("OMTCP_COMPILE", "0")
        if wanted in ("", "0") or self.target_name != "wheel":
            return None
        if wanted not in OPTIMIZATION:
            raise ValueError(f"OMTCP_COMPILE={wanted}: it is 0, {', '.join(OPTIMIZATION)}")
        return OPTIMIZATION[wanted]

    def dependencies(self) -> list[str]:
        """What the build needs besides hatchling."""
        return (
            [
                "mypy[mypyc]>=1.18",  # the compiler from typed Python to C, of mypy's own makers
                "setuptools>=65",  # runs the C compiler; mypyc's output is made for it
            ]
            if self._level()
            else []
        )

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and have the extensions put into the wheel."""
        level = self._level()
        if level is None:
            return
        if version == "editable":
            self.app.display_warning("an editable installation is pure Python: not compiled")
            return
        self._directory = tempfile.mkdtemp(prefix="omtcp-build-")
        library = Path(self._directory, "library")
        compile_extensions(Path(self.root), level, Path(self._directory), library)
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
        for extension in library.rglob("*.so"):
            build_data["force_include"][str(extension)] = str(extension.relative_to(library))

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """The wheel is there."""
        if self._directory:
            shutil.rmtree(self._directory)


def compile_extensions(root: Path, level: str, work: Path, library: Path) -> None:
    """Compile the packages COMPILED of the checkout `root` into the directory `library`."""
    from mypyc.build import mypycify
    from setuptools import Distribution
    from setuptools.command.build_ext import build_ext

    os.chdir(root)
    packages = [Path("src", "omtcp", name) for name in COMPILED]
    sources = sorted(
        str(source)
        for package in packages
        for source in package.rglob("*.py")
        if source.name != "__init__.py"
    )
    flags = ["--config-file=pyproject.toml", f"--cache-dir={work / 'mypy'}"]
    extensions = mypycify(
        [*flags, *sources], opt_level=level, target_dir=str(work / "c"), group_name="omtcp"
    )
    command = build_ext(Distribution({"name": "omtcp", "ext_modules": extensions}))
    command.build_lib = str(library)
    command.build_temp = str(work / "objects")
    command.ensure_finalized()
    command.run()
