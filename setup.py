"""What pyproject.toml cannot say: the kernels are compiled while the package is built, where there is a compiler."""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext

HERE = Path(__file__).parent
ENGINE = Path("verydeep", "engine")

plan = spec_from_file_location("compile_kernels", HERE / ENGINE / "compile.py")
compiling = module_from_spec(plan)
sys.modules[plan.name] = compiling
plan.loader.exec_module(compiling)


class CompileKernels(build_ext):
    """One plain shared library: it links neither Python nor PyTorch."""

    def run(self) -> None:
        """Compile into the folder that will be packed, or beside the sources for an editable installation."""
        folder = HERE / ENGINE if self.inplace else Path(self.build_lib) / ENGINE
        print(compiling.compile_or_say_why(folder, objects=HERE / "build" / "kernels"), file=sys.stderr)

    def get_outputs(self) -> list[str]:
        """The library, or the line that says why there is none."""
        return [str(file) for file in self._made(Path(self.build_lib) / ENGINE)]

    def get_output_mapping(self) -> dict[str, str]:
        """Of an editable installation: where the same file lies among the sources."""
        found = self._made(HERE / ENGINE) if self.inplace else []
        return {str(Path(self.build_lib) / ENGINE / file.name): str(ENGINE / file.name) for file in found}

    def _made(self, folder: Path) -> list[Path]:
        return [file for file in (folder / compiling.LIBRARY, folder / compiling.REASON) if file.exists()]


class WheelForOneSystem(bdist_wheel):
    """A wheel for every Python, but for one kind of processor and one system."""

    def get_tag(self) -> tuple[str, str, str]:
        """py3-none-linux_x86_64, for one."""
        return "py3", "none", super().get_tag()[2]


setup(
    ext_modules=[Extension("verydeep.engine._kernels", sources=[])],
    cmdclass={"build_ext": CompileKernels, "bdist_wheel": WheelForOneSystem},
)
