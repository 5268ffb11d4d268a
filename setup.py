"""What setup.cfg cannot say: `conf/` and `motions/` lie at the top of the checkout, in the package once installed."""

from setuptools import find_packages, setup

setup(
    packages=find_packages(include=["amp_train", "amp_train.*"]) + ["amp_train.conf", "amp_train.motions"],
    package_dir={"amp_train.conf": "conf", "amp_train.motions": "motions"},
)
