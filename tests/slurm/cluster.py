"""A real SLURM on this machine: munge, slurmctld and four slurmd, with or without accounting.

It runs as root, without systemd and without cgroups, in the foreground of this process, which stops exactly
what it started. As a command it keeps a cluster up until Ctrl-C, to try things on:

    python tests/slurm/cluster.py [--accounting]
"""

import argparse
import contextlib
import fcntl
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from configuration import FOLDER, MARK, Node, free_ports, gres_conf, slurm_conf, slurmdbd_conf

NEEDED = ["munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol"]
NEEDED_FOR_ACCOUNTING = ["slurmdbd", "mariadbd", "mariadb-install-db", "sacct", "sacctmgr"]
FILES = ["slurm.conf", "gres.conf", "slurmdbd.conf"]
LOCK = Path(tempfile.gettempdir()) / "cellsignal-slurm.lock"  # one such cluster at a time
PATIENCE = 120  # seconds until a daemon that does not answer is given up
SBIN = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])


def obstacles(accounting: bool = False) -> str:
    """Why no cluster can be started here; empty if one can."""
    if os.geteuid() != 0:
        return "starting a SLURM needs root"
    wanted = NEEDED + (NEEDED_FOR_ACCOUNTING if accounting else [])
    if missing := [name for name in wanted if shutil.which(name, path=SBIN) is None]:
        return f"not installed: {', '.join(missing)}"
    foreign = [str(FOLDER / name) for name in FILES if (FOLDER / name).exists() and not _ours(FOLDER / name)]
    return f"this machine has a SLURM of its own: {', '.join(foreign)}" if foreign else ""


def _ours(path: Path) -> bool:
    return path.read_text(errors="replace").startswith(MARK)


class Cluster:
    """Partitions `cpu` (c1, c2) and `gpu` (g1 with two "a100", g2 with one "v100"). A context manager."""

    def __init__(self, accounting: bool = False) -> None:
        self.accounting = accounting
        self.name = f"cellsignal{secrets.token_hex(4)}"
        self.state = Path(tempfile.mkdtemp(prefix="cellsignal-slurm-"))
        ports = free_ports(7)
        self.nodes = [
            Node("c1", ports[0]),
            Node("c2", ports[1]),
            Node("g1", ports[2], "a100", ("/dev/null", "/dev/zero")),
            Node("g2", ports[3], "v100", ("/dev/full",)),
        ]
        self._controller, self._dbd, self._mariadb = ports[4:]
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> "Cluster":
        self._lock = open(LOCK, "w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)  # waits for another one to end
        if reason := obstacles(self.accounting):
            raise RuntimeError(reason)
        try:
            self._configure()
            self._start_munge()
            if self.accounting:
                self._start_database()
                self.start_slurmdbd()
                self.command("sacctmgr", "--immediate", "add", "cluster", self.name)
            self.start_slurmctld()
            for node in self.nodes:
                self._start(f"slurmd-{node.name}", "slurmd", "-D", "-N", node.name)
            self.wait("every node idle", lambda: self.node_states() == {node.name: "idle" for node in self.nodes})
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        try:
            if "slurmctld" in self._running:
                subprocess.run(["scancel", "--user=root"], capture_output=True, timeout=30)
                self.wait("an empty queue", lambda: not self.jobs(), patience=30, required=False)
            for name in reversed(list(self._running)):
                self.stop(name)
            self._kill_steps()
        finally:
            for name in FILES:
                if (FOLDER / name).exists() and _ours(FOLDER / name):
                    (FOLDER / name).unlink()
            shutil.rmtree(self.state, ignore_errors=True)
            self._lock.close()

    def bring_up(self, node: str) -> None:
        """Have a node that went down take jobs again, unless it came back by itself."""
        if "down" in self.node_states()[node]:
            self.command("scontrol", "update", f"NodeName={node}", "State=RESUME")
        self.wait(f"node {node}", lambda: self.node_states()[node] == "idle")

    def command(self, *arguments: str) -> str:
        """Output of a SLURM command that must succeed."""
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=PATIENCE)
        if done.returncode:
            raise RuntimeError(f"{' '.join(arguments)}: {done.stderr}")
        return done.stdout.strip()

    def node_states(self) -> dict[str, str]:
        """State of each node, as `sinfo` says it."""
        lines = self.command("sinfo", "--noheader", "--Node", "--format=%N %T").splitlines()
        return dict(line.split(maxsplit=1) for line in lines)

    def jobs(self, *fields: str, states: str = "pending,running,completing,suspended") -> list[list[str]]:
        """The queue, a row of `fields` (squeue's format letters; default: id and state) per job."""
        letters = "|".join(f"%{field}" for field in fields or ("i", "T"))
        output = self.command("squeue", "--noheader", f"--states={states}", f"--format={letters}")
        return [line.split("|") for line in output.splitlines()]

    def wait(self, what: str, is_true: Callable[[], bool], patience: float = PATIENCE, required: bool = True) -> None:
        """Return as soon as `is_true` holds; RuntimeError when it has not after `patience` seconds."""
        end = time.monotonic() + patience
        while time.monotonic() < end:
            try:
                if is_true():
                    return
            except (RuntimeError, subprocess.TimeoutExpired):
                pass  # the daemon does not answer yet
            time.sleep(0.25)
        if required:
            raise RuntimeError(f"no {what} within {patience} s\n{self.logs()}")

    def logs(self) -> str:
        """The end of every daemon's log."""
        return "\n".join(f"== {path.name}\n{path.read_text()[-2000:]}" for path in sorted(self.state.glob("*.log")))

    def start_slurmctld(self) -> None:
        """Start the controller, which finds the state that an earlier one left, and wait until it answers."""
        self._start("slurmctld", "slurmctld", "-D")
        self.wait("slurmctld", lambda: "UP" in self.command("scontrol", "ping"))

    def start_slurmdbd(self) -> None:
        """Start the accounting daemon and wait until it answers."""
        self._start("slurmdbd", "slurmdbd", "-D")
        self.wait("slurmdbd", lambda: "root" in self.command("sacctmgr", "--noheader", "show", "user"))

    def stop(self, name: str, how: signal.Signals = signal.SIGTERM) -> None:
        """Stop a daemon: munged, mariadbd, slurmdbd, slurmctld or slurmd-NODE."""
        process = self._running.pop(name)
        process.send_signal(how)
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _configure(self) -> None:
        FOLDER.mkdir(exist_ok=True)
        password = secrets.token_hex(16)
        database = self._dbd if self.accounting else None
        texts = {
            "slurm.conf": slurm_conf(self.name, self.state, self.nodes, self._controller, database),
            "gres.conf": gres_conf(self.nodes),
        }
        if self.accounting:
            texts["slurmdbd.conf"] = slurmdbd_conf(self.state, self._dbd, self._mariadb, password)
            (self.state / "users.sql").write_text(
                f"CREATE USER slurm@'127.0.0.1' IDENTIFIED BY '{password}';\n"
                "GRANT ALL ON slurm_acct_db.* TO slurm@'127.0.0.1';\n"
            )
        for name, text in texts.items():
            (FOLDER / name).write_text(text)
            (FOLDER / name).chmod(0o600 if name == "slurmdbd.conf" else 0o644)
        self.state.chmod(0o755)  # munged refuses a socket that others cannot reach
        for folder in ("slurmctld", *(f"slurmd-{node.name}" for node in self.nodes)):
            (self.state / folder).mkdir()

    def _start(self, name: str, program: str, *arguments: str) -> None:
        found = shutil.which(program, path=SBIN)
        assert found is not None, program
        with open(self.state / f"{name}.log", "ab") as log:
            self._running[name] = subprocess.Popen(
                [found, *arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def _start_munge(self) -> None:
        key = self.state / "munge.key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o600)
        socket = self.state / "munge.socket"
        places = (f"--{what}-file={self.state}/munge.{what}" for what in ("key", "pid", "log", "seed"))
        self._start("munged", "munged", "--foreground", "--force", f"--socket={socket}", *places)
        self.wait("munged", socket.exists)

    def _start_database(self) -> None:
        folder, options = self.state / "mariadb", ["--no-defaults", "--user=root"]
        subprocess.run(
            ["mariadb-install-db", *options, f"--datadir={folder}", "--skip-test-db"], check=True, capture_output=True
        )
        self._start(
            "mariadbd", "mariadbd", *options, f"--datadir={folder}", f"--socket={self.state}/mariadb.socket",
            f"--pid-file={self.state}/mariadb.pid", "--bind-address=127.0.0.1", f"--port={self._mariadb}",
            f"--init-file={self.state}/users.sql",
        )  # fmt: skip
        self.wait("mariadbd", (self.state / "mariadb.socket").exists)

    def _kill_steps(self) -> None:
        """End what is left of the jobs, should SLURM have left anything: its processes carry the cluster's name."""
        mark = f"SLURM_CLUSTER_NAME={self.name}".encode()
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if mark in (process / "environ").read_bytes():
                    os.kill(int(process.name), signal.SIGKILL)
            except OSError:  # gone, or none of ours
                continue


def main() -> None:
    """Keep a cluster up until Ctrl-C or SIGTERM."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accounting", action="store_true", help="with slurmdbd and MariaDB")
    with Cluster(parser.parse_args().accounting) as cluster:
        print(f"{cluster.name} is up: {cluster.node_states()}\nlogs: {cluster.state}\nCtrl-C ends it", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()


if __name__ == "__main__":
    main()
