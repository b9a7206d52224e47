"""Which process of a job this is, where several train one model together; and how torchrun starts them."""

import os
import signal
import subprocess
import sys

STATE_SECONDS = 300  # that a process has after SIGTERM to save its state in


def processes() -> int:
    """Number of processes that train together; torchrun says so in the environment."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """Number of this process among them, from 0."""
    return int(os.environ.get("RANK", "0"))


def leads() -> bool:
    """Whether this process writes the files and the log."""
    return rank() == 0


def is_worker() -> bool:
    """Whether torchrun started this process."""
    return "RANK" in os.environ


def torchrun(script: str, n: int) -> int:
    """Run a Python script in `n` processes of this machine at once; return the exit status.

    SIGTERM is passed on to them, and 143 returned when they have ended. If one fails, torchrun ends the others.
    """
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={n}", script]
    environment = os.environ | {"TORCH_ELASTIC_SHUTDOWN_TIMEOUT": str(STATE_SECONDS)}
    terminated = False
    running = subprocess.Popen(command, env=environment)

    def pass_on(number: int, frame: object) -> None:
        nonlocal terminated
        terminated = True
        running.send_signal(number)

    before = signal.signal(signal.SIGTERM, pass_on)
    try:
        status = running.wait()
    finally:
        signal.signal(signal.SIGTERM, before)
    return 143 if terminated else status
