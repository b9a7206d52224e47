"""One run of the whole workflow, which the tests in this folder look at, and copies for those that change it."""

from pathlib import Path

import pytest
from projects import Project
from table_screen import MISSING, PLATES, TRUNCATED, settings, truncate, write_screen


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The tiny recipe, run once from nothing to the audit. Not to be changed."""
    project = Project.create(tmp_path_factory.mktemp("finished") / "project")
    project.run("all")
    return project


@pytest.fixture
def project(finished: Project, tmp_path: Path) -> Project:
    """A copy of the finished run, for this test to change."""
    return finished.copy_to(tmp_path / "project")


@pytest.fixture
def fresh(tmp_path: Path) -> Project:
    """The project's sources, not run yet."""
    return Project.create(tmp_path / "project")


@pytest.fixture(scope="session")
def allowed(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A whole run over a table screen with broken images, which the settings allow. Not to be changed."""
    project = Project.create(tmp_path_factory.mktemp("allowed") / "project")
    data = project.folder / "data"
    write_screen(data, PLATES)
    truncate(data / TRUNCATED)
    for name in MISSING:
        (data / name).unlink()
    project.overlay(settings(data) | {"pack": {"allow_missing_sites": True}})
    project.run("all")
    return project
