"""`pip install .` in this folder: the addon as odoo.addons.dunning_sequences_snailmail.

As the one of dunning_sequences, in the folder above. Odoo itself, with its addon
snailmail, is not on PyPI: it has to be there.
"""

import ast
import os
from pathlib import Path

from setuptools import setup

NAME = "dunning_sequences_snailmail"
PACKAGE = f"odoo.addons.{NAME}"

here = Path(__file__).resolve().parent
os.chdir(here)
manifest = ast.literal_eval(Path("__manifest__.py").read_text("utf-8"))
ours = {"build", "dist", "__pycache__"}

packages, data = [], []
for folder, subfolders, files in os.walk("."):
    subfolders[:] = sorted(
        name for name in subfolders if name not in ours and "egg-info" not in name
    )
    if "__init__.py" in files:
        packages.append(".".join((PACKAGE, *Path(folder).parts)))
    data += [
        os.path.join(folder, name)
        for name in sorted(files)
        if not name.endswith((".py", ".pyc", ".toml"))
    ]

setup(
    name=f"odoo-addon-{NAME.replace('_', '-')}",
    version=manifest["version"],
    description=manifest["summary"],
    long_description=Path("README.md").read_text("utf-8"),
    long_description_content_type="text/markdown",
    author=manifest["author"],
    license=manifest["license"],
    classifiers=[
        "Programming Language :: Python",
        "Framework :: Odoo",
        "Framework :: Odoo :: 19.0",
    ],
    python_requires=">=3.10",
    install_requires=["odoo-addon-dunning-sequences>=19.0.1,<19.1"],
    packages=packages,
    package_dir={PACKAGE: "."},
    package_data={PACKAGE: [os.path.normpath(name) for name in data]},
    zip_safe=False,
    script_name="setup.py",  # by its name it is known not to be a module of the addon
)
