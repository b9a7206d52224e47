"""The cluster that the tests in this folder run on, and the projects that they run on it."""

from collections.abc import Iterator

import pytest
from cluster import Cluster, obstacles
from drills import LONGER, WEIGHTS, Drill, write_profile
from projects import Project


@pytest.fixture(scope="module")
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A SLURM for the tests of a module; with slurmdbd where the module says `ACCOUNTING = True`."""
    accounting = getattr(request.module, "ACCOUNTING", False)
    if reason := obstacles(accounting):
        pytest.skip(reason)
    with Cluster(accounting) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def local(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The tiny recipe, run on this machine without SLURM. Not to be changed."""
    if reason := obstacles():
        pytest.skip(reason)
    project = Project.create(tmp_path_factory.mktemp("local") / "project")
    project.run("all")
    return project


@pytest.fixture(scope="session")
def reference(local: Project, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Weights of the drills' training, not interfered with."""
    project = local.copy_to(tmp_path_factory.mktemp("reference") / "project")
    project.overlay(LONGER)
    project.run(WEIGHTS)
    return (project.folder / WEIGHTS).read_bytes()


@pytest.fixture
def drill(cluster: Cluster, local: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drill]:
    """A training that is to be done on the cluster; all before it is done. Leaves the queue empty."""
    project = local.copy_to(tmp_path_factory.mktemp("drill") / "project")
    project.overlay(LONGER)
    write_profile(project)
    drill = Drill(cluster, project)
    yield drill
    drill.stop()


@pytest.fixture
def held(drill: Drill) -> Iterator[Drill]:
    """The drill with a GPU partition that starts no jobs until `drill.release()`."""
    drill.cluster.command("scontrol", "update", "PartitionName=gpu", "State=DOWN")
    yield drill
    drill.release()
