"""The README's commands for signing a submission, run as they stand there."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from small_recipe import SmallRecipe

from cellsignal.provenance.crate import write_crate

README = Path(__file__).resolve().parents[2] / "README.md"
pytestmark = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="ssh-keygen is not installed")


@pytest.fixture(scope="module")
def commands() -> dict[str, str]:
    """The README's lines under "Signing", by what they do."""
    section = re.search(r"^### Signing\n(.*?)^##", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert section, "README.md has no section on signing"
    lines = [line.strip() for line in section[1].splitlines() if line.startswith("    ")]
    found = {"sign": "ssh-keygen -Y sign", "list": "echo ", "verify": "ssh-keygen -Y verify"}
    return {what: next(line for line in lines if line.startswith(start)) for what, start in found.items()}


@pytest.fixture
def signed(tmp_path: Path, commands: dict[str, str]) -> tuple[SmallRecipe, dict[str, str]]:
    """A recipe whose submission's receipt is signed, and the environment of the README's commands."""
    recipe = SmallRecipe(tmp_path / "project")
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", key], check=True)
    environment = os.environ | {"receipt": f"{recipe.submission}.receipt.json", "key": str(key)}
    for what in ("sign", "list"):
        subprocess.run(commands[what], shell=True, check=True, cwd=recipe.folder, env=environment, capture_output=True)
    return recipe, environment


def verify(command: str, folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, shell=True, cwd=folder, env=environment, capture_output=True, text=True)


def test_a_signed_receipt_verifies(signed: tuple[SmallRecipe, dict[str, str]], commands: dict[str, str]) -> None:
    recipe, environment = signed
    done = verify(commands["verify"], recipe.folder, environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith('Good "cellsignal" signature for you@lab.org')


def test_a_changed_receipt_does_not(signed: tuple[SmallRecipe, dict[str, str]], commands: dict[str, str]) -> None:
    recipe, environment = signed
    receipt = Path(environment["receipt"])
    content = bytearray(receipt.read_bytes())
    content[len(content) // 2] ^= 1
    receipt.write_bytes(content)
    done = verify(commands["verify"], recipe.folder, environment)
    assert done.returncode != 0
    assert "Signature verification failed" in done.stdout + done.stderr


def test_a_signature_by_another_key_does_not(
    signed: tuple[SmallRecipe, dict[str, str]], commands: dict[str, str], tmp_path: Path
) -> None:
    recipe, environment = signed
    other = tmp_path / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", other], check=True)
    Path(environment["receipt"] + ".sig").unlink()
    subprocess.run(commands["sign"], shell=True, check=True, env=environment | {"key": str(other)}, capture_output=True)
    assert verify(commands["verify"], recipe.folder, environment).returncode != 0


def test_the_signature_goes_into_the_crate(
    signed: tuple[SmallRecipe, dict[str, str]], commands: dict[str, str], tmp_path: Path
) -> None:
    recipe, environment = signed
    crate = write_crate(recipe.submission, tmp_path / "crate", library=recipe.library)
    there = environment | {"receipt": str(crate / "results/s/r/submission.csv.receipt.json")}
    assert verify(commands["verify"], recipe.folder, there).returncode == 0
