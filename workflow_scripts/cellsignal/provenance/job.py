"""A job: reads its stage file, does its work, writes its receipt and its run record."""

import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cellsignal.errors import BadInput, raise_all
from cellsignal.files import remove_parts, sha256_file, write_json
from cellsignal.processes import processes
from cellsignal.provenance.code import third_party
from cellsignal.provenance.receipts import (
    SUFFIX,
    Receipt,
    check_inputs,
    hash_outputs,
    package_versions,
    read_receipt,
    write_receipt,
)
from cellsignal.provenance.stages import changed_modules, read_stage


class Job:
    """One run of one rule. Create it first, do the work, call `finish` last.

    `inputs` maps names to paths: the stage file, receipts (by suffix) and the artefacts that those
    receipts list. What a killed run of the same job left half-written beside its outputs is removed. Raises
    `BadInput` when the code on disk is not what the job was planned with, or an input is not what its receipt says.
    """

    def __init__(
        self,
        rule: str,
        script: str | Path,
        library: str | Path,
        results: str | Path,
        stage: str | Path,
        inputs: Sequence[str | Path],
        outputs: Sequence[str | Path],
        receipt: str | Path,
        wildcards: Mapping[str, str],
    ) -> None:
        self.rule, self.script, self.library = rule, Path(script), Path(library)
        self.results = Path(results)
        self.outputs = [Path(path) for path in outputs]
        self.receipt = Path(receipt)
        self.wildcards = dict(wildcards)
        self.stage_path = Path(stage)
        self.stage_sha256 = sha256_file(stage)
        self.started = time.time()
        began = time.perf_counter()
        self.raw: dict[str, str] = {}
        self._afterwards: list[tuple[Callable[..., None], tuple[Any, ...]]] = []
        content = read_stage(stage)
        if content.rule != rule:
            raise BadInput(f"{stage}: stage of rule {content.rule}, expected {rule}")
        self.settings: dict[str, Any] = content.settings
        self.code = content.code
        raise_all(
            changed_modules(content, script, library),
            f"{rule}: the code changed after this job was planned; run snakemake again. Modules",
        )
        receipts = [Path(path) for path in inputs if str(path).endswith(SUFFIX)]
        artefacts = [path for path in inputs if not str(path).endswith(SUFFIX) and Path(path) != self.stage_path]
        self._reads = sorted(self._name(Path(path)) for path in artefacts)
        self._inputs = {self._name(path): sha256_file(path) for path in receipts}
        read = {self._name(path): read_receipt(path) for path in receipts}
        raise_all(check_inputs(artefacts, read, results), f"{rule}: inputs that are not what was made")
        for path in [*self.outputs, self.receipt]:
            remove_parts(path)
        self._provenance_seconds = time.perf_counter() - began  # what stage file and receipts cost the job

    def _name(self, path: Path) -> str:
        return path.resolve().relative_to(self.results.resolve()).as_posix()

    def read_raw(self, hashes: Mapping[str, str]) -> None:
        """Record raw files that were read: path relative to the screen's root → SHA-256."""
        self.raw |= hashes

    def after_receipt(self, action: Callable[..., None], *arguments: Any) -> None:
        """Have `action` done once the receipt is written: what must outlast a crash before that."""
        self._afterwards.append((action, arguments))

    def finish(self) -> None:
        """Hash the outputs and write the receipt, then do what was put off until then."""
        began = time.perf_counter()
        raise_all(
            [f"{path}: not written" for path in self.outputs if not path.exists()],
            f"{self.rule}: outputs missing",
        )
        receipt = Receipt(
            path=self._name(self.receipt),
            rule=self.rule,
            wildcards=dict(sorted(self.wildcards.items())),
            stage={
                "path": self._name(self.stage_path),
                "sha256": self.stage_sha256,
                "settings": self.settings,
                "code": self.code,
            },
            inputs=dict(sorted(self._inputs.items())),
            reads=self._reads,
            raw=dict(sorted(self.raw.items())),
            outputs=hash_outputs(self.outputs, self.results),
            seed=self.settings.get("seed"),
            packages=package_versions(third_party(self.script, self.library)),
        )
        write_receipt(receipt, self.results)
        self._provenance_seconds += time.perf_counter() - began
        for action, arguments in self._afterwards:
            action(*arguments)

    def write_run_record(self, path: str | Path) -> None:
        """Write what varies between runs that give the same bytes: times, host, GPU, code version."""
        began = time.perf_counter()
        git = git_version(self.library)
        self._provenance_seconds += time.perf_counter() - began
        write_json(
            path,
            {
                "rule": self.rule,
                "wildcards": self.wildcards,
                "started": self.started,
                "seconds": round(time.time() - self.started, 3),
                "provenance_seconds": round(self._provenance_seconds, 3),
                "peak_memory_mb": _peak_memory_mb(),
                "host": platform.node(),
                "slurm_job": os.environ.get("SLURM_JOB_ID"),
                "gpus": _gpus(),
                "processes": processes(),
                "git": git,
            },
        )


def _peak_memory_mb() -> int:
    """The most memory that this process held, MB; getrusage(2) counts in kB, on macOS in bytes."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(most / (1e6 if sys.platform == "darwin" else 1e6 / 1024))


def _gpus() -> list[str]:
    """Names of the GPUs that this process uses, without importing torch for it."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return []
    return [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]


def git_version(folder: str | Path) -> dict[str, Any] | None:
    """Commit and dirty flag of the checkout that holds `folder`, or None outside one."""
    try:
        commit, status = (
            subprocess.run(
                ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True, timeout=20
            ).stdout.strip()
            for arguments in (["rev-parse", "HEAD"], ["status", "--porcelain"])
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return {"commit": commit, "dirty": bool(status)}
