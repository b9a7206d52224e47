"""What several files of tests start from: a hand-made finished project, and PyTorch on one thread."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from small_project import Project


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A hand-made project with the receipts of all its jobs. Not to be changed."""
    return Project(tmp_path_factory.mktemp("finished") / "project").run()


@pytest.fixture
def project(finished: Project, tmp_path: Path) -> Project:
    """A copy of it, for this test to tamper with."""
    return finished.copy_to(tmp_path / "project")


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Bits agree between runs with the same number of threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
