"""The files that a SLURM of this machine alone is configured by: two CPU nodes, two GPU nodes, all on 127.0.0.1."""

import socket
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path("/etc/slurm")  # where srun and the rest look; the executor removes SLURM_CONF from the jobs
MARK = "# Written by cellsignal's tests/slurm; removed when they end.\n"
CREDENTIALS_EXPIRE = 5  # seconds; SLURM holds a requeued job back for as long (120 by default)
KILL_WAIT = 15  # seconds between SIGTERM and SIGKILL at a job's time limit
CPUS, MEMORY = 8, 64_000  # what each node claims to have; nothing is measured


@dataclass(frozen=True)
class Node:
    """A slurmd of this machine. `gpus` are device files that stand for GPUs, as there need not be any."""

    name: str
    port: int
    model: str = ""
    gpus: tuple[str, ...] = ()

    @property
    def line(self) -> str:
        """Its line in slurm.conf."""
        gres = f" Gres=gpu:{self.model}:{len(self.gpus)}" if self.gpus else ""
        return (
            f"NodeName={self.name} NodeHostname={socket.gethostname()} NodeAddr=127.0.0.1 Port={self.port} "
            f"CPUs={CPUS} RealMemory={MEMORY}{gres}"
        )


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def slurm_conf(name: str, state: Path, nodes: list[Node], controller: int, database: int | None) -> str:
    """slurm.conf. `state` is the cluster's own folder; `database` slurmdbd's port, None without accounting."""
    cpu = ",".join(node.name for node in nodes if not node.gpus)
    gpu = ",".join(node.name for node in nodes if node.gpus)
    accounting = (
        ["AccountingStorageType=accounting_storage/none"]
        if database is None
        else [
            "AccountingStorageType=accounting_storage/slurmdbd",
            "AccountingStorageHost=127.0.0.1",
            f"AccountingStoragePort={database}",
            f"AccountingStoragePass={state}/munge.socket",  # its own setting beside AuthInfo, despite the name
            "AccountingStorageTRES=gres/gpu",
            "AccountingStoreFlags=job_comment",
        ]
    )
    return MARK + "\n".join(
        [
            f"ClusterName={name}",
            f"SlurmctldHost={socket.gethostname()}(127.0.0.1)",
            f"SlurmctldPort={controller}",
            "SlurmUser=root",
            "SlurmdUser=root",
            f"AuthInfo=socket={state}/munge.socket,cred_expire={CREDENTIALS_EXPIRE}",
            f"StateSaveLocation={state}/slurmctld",
            f"SlurmdSpoolDir={state}/slurmd-%n",
            f"SlurmctldPidFile={state}/slurmctld.pid",
            f"SlurmdPidFile={state}/slurmd-%n.pid",
            # Neither systemd nor cgroups: processes are followed through /proc, their memory is sampled.
            "ProctrackType=proctrack/linuxproc",
            "TaskPlugin=task/none",
            "JobAcctGatherType=jobacct_gather/linux",
            "JobAcctGatherFrequency=task=1",
            "JobAcctGatherParams=OverMemoryKill,NoShared",
            "SelectType=select/cons_tres",
            "SelectTypeParameters=CR_CPU_Memory",
            "SlurmdParameters=config_overrides",
            "SchedulerParameters=batch_sched_delay=0,sched_min_interval=100000",
            "MpiDefault=none",
            "ReturnToService=1",
            f"KillWait={KILL_WAIT}",
            "MinJobAge=300",
            "GresTypes=gpu",
            *accounting,
            *(node.line for node in nodes),
            f"PartitionName=cpu Nodes={cpu} Default=YES",
            f"PartitionName=gpu Nodes={gpu}",
            "",
        ]
    )


def gres_conf(nodes: list[Node]) -> str:
    """gres.conf: which device files are whose GPUs."""
    lines = [f"NodeName={n.name} Name=gpu Type={n.model} File={','.join(n.gpus)}" for n in nodes if n.gpus]
    return MARK + "\n".join(["AutoDetect=off", *lines, ""])


def slurmdbd_conf(state: Path, port: int, database: int, password: str) -> str:
    """slurmdbd.conf. `database` is MariaDB's port."""
    return MARK + "\n".join(
        [
            f"DbdHost={socket.gethostname()}",
            "DbdAddr=127.0.0.1",
            f"DbdPort={port}",
            "SlurmUser=root",
            f"AuthInfo=socket={state}/munge.socket",
            f"PidFile={state}/slurmdbd.pid",
            "StorageType=accounting_storage/mysql",
            "StorageHost=127.0.0.1",
            f"StoragePort={database}",
            "StorageUser=slurm",
            f"StoragePass={password}",
            "StorageLoc=slurm_acct_db",
            "",
        ]
    )
