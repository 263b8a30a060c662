"""`pip install .`: the addon as odoo.addons.dunning_sequences.

Odoo itself is not on PyPI, so it is not a requirement here: it has to be there.
Version and texts come from the manifest.
"""

import ast
import os
from pathlib import Path

from setuptools import setup

NAME = "dunning_sequences"
PACKAGE = f"odoo.addons.{NAME}"

here = Path(__file__).resolve().parent
os.chdir(here)
manifest = ast.literal_eval(Path(NAME, "__manifest__.py").read_text("utf-8"))
readme = Path("README.md")

packages, data = [], []
for folder, subfolders, files in os.walk(NAME):
    subfolders[:] = sorted(n for n in subfolders if n != "__pycache__")
    if "__init__.py" in files:
        packages.append(folder.replace(os.sep, ".").replace(NAME, PACKAGE, 1))
    # Everything else is data of the top package: scripts without a package, too.
    data += [
        os.path.relpath(os.path.join(folder, name), NAME)
        for name in sorted(files)
        if not name.endswith((".pyc", ".pyo", ".swp", "~"))
        and not (name.endswith(".py") and "__init__.py" in files)
    ]

setup(
    name=f"odoo-addon-{NAME.replace('_', '-')}",
    version=manifest["version"],
    description=manifest["summary"],
    long_description=readme.read_text("utf-8") if readme.exists() else "",
    long_description_content_type="text/markdown",
    author=manifest["author"],
    license=manifest["license"],
    classifiers=[
        "Programming Language :: Python",
        "Framework :: Odoo",
        "Framework :: Odoo :: 19.0",
    ],
    python_requires=">=3.10",
    install_requires=manifest.get("external_dependencies", {}).get("python", []),
    packages=packages,
    package_dir={PACKAGE: NAME},
    package_data={PACKAGE: data},
    zip_safe=False,
)
