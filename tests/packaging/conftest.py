"""The wheel, built once, and the three ways to install the project."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from tests.packaging.installation import ROOT, Installation, readme_block


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built by the command of the README."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    built = subprocess.run(command, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    (path,) = folder.iterdir()
    return path


@pytest.fixture(scope="session")
def python_with_wheel(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh virtual environment with the wheel; it sees the Airflow that is installed here, so nothing is fetched."""
    folder = tmp_path_factory.mktemp("venv")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    python = folder / "bin" / "python"
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "airflow.pth").write_text(sysconfig.get_path("purelib") + "\n")
    command = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-deps", "--no-index", "--python", str(python), str(wheel)]
    subprocess.run(command, check=True)
    return python


@pytest.fixture(scope="session")
def wheel_install(python_with_wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """The wheel and its DAG bundle in an empty AIRFLOW_HOME."""
    found = Installation(python_with_wheel, tmp_path_factory.mktemp("wheel-home"))
    found.configure(readme_block("3.", "ini"))
    return found


@pytest.fixture(scope="session")
def folder_install(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """dags/, plugins/ and include/ copied into an AIRFLOW_HOME; the package is not installed."""
    found = Installation(Path(sys.executable), tmp_path_factory.mktemp("folder-home"))
    found.copy_folders()
    return found


@pytest.fixture(scope="session")
def bundle_install(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """An empty AIRFLOW_HOME whose airflow.cfg points to this checkout."""
    found = Installation(Path(sys.executable), tmp_path_factory.mktemp("bundle-home"))
    found.configure(readme_block("2.", "ini"))
    return found


@pytest.fixture(scope="session")
def both(python_with_wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """The wheel, and the folders as well."""
    found = Installation(python_with_wheel, tmp_path_factory.mktemp("both-home"))
    found.copy_folders()
    return found
