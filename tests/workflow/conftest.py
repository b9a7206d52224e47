"""One run of the whole workflow, which the tests in this folder look at, and copies for those that change it."""

from pathlib import Path

import pytest
from projects import Project


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
