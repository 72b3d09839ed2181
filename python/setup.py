"""The wheel of a package that CMake has built; scripts/package.sh calls this beside it."""
import os

from setuptools import setup
from setuptools.dist import Distribution


class Built(Distribution):
    def has_ext_modules(self) -> bool:
        return True  # so that the wheel is named after the interpreter and the machine


setup(
    name="exciton",
    version=os.environ["EXCITON_VERSION"],
    description="SE networks trained on CPUs",
    packages=["exciton"],
    package_data={"exciton": ["*.so", "*.pyi", "py.typed", "lib/*"]},
    python_requires=">=3.9",
    install_requires=["numpy"],
    distclass=Built,
    zip_safe=False,
)
