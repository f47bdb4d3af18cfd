"""What starts many machines can be read by what starts it, and starts the command line."""

import os
import subprocess
from pathlib import Path

import yaml

SCRIPTS = Path(__file__).parents[2] / "scripts"
# Instead of the program of that name: it says what it was given, an argument a line.
SAYS = '#!/bin/sh\nfor a in "$@"; do echo "$a"; done\n'


def test_the_tpu_script_quotes_arguments_for_the_shell_of_the_workers(
    tmp_path: Path,
) -> None:
    gcloud = tmp_path / "gcloud"
    gcloud.write_text(SAYS)
    gcloud.chmod(0o755)
    given = ["--out", "it's $HOME", "--search.generations", "3"]
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "TPU": "t", "ZONE": "z"}
    command = ["sh", str(SCRIPTS / "run_tpu_pod.sh"), *given]
    said = subprocess.run(command, env=environment, capture_output=True, check=True)
    *_, there = said.stdout.decode().splitlines()
    run = there.partition("python ")[2]
    heard = subprocess.run(["sh", "-c", f"printf '%s\\n' {run}"], capture_output=True)
    assert heard.stdout.decode().splitlines() == ["-m", "jaxcompress.run", *given]


def test_the_batch_file_starts_a_task_with_its_arguments(tmp_path: Path) -> None:
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "activate").write_text("")
    srun = tmp_path / "srun"
    srun.write_text(SAYS)
    srun.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_CPUS_PER_TASK": "8"}
    command = ["bash", str(SCRIPTS / "run_slurm.sbatch"), "--out", "a b"]
    said = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, check=True
    )
    wanted = ["--cpus-per-task=8", "python", "-m", "jaxcompress.run", "--out", "a b"]
    assert said.stdout.decode().splitlines() == wanted


def test_the_job_set_begins_a_run_once_and_then_resumes_it() -> None:
    job = yaml.safe_load((SCRIPTS / "run_gke.yaml").read_text())["spec"]
    (workers,) = job["replicatedJobs"]
    spec = workers["template"]["spec"]
    assert spec["parallelism"] == spec["completions"]
    (container,) = spec["template"]["spec"]["containers"]
    (script,) = container["args"]
    for there, option in ((True, "--resume /runs/a"), (False, "--out /runs/a")):
        # A stand-in for the volume: only the shell of the container is tried.
        tried = script.replace("[ -e /runs/a/config.yaml ]", str(there).lower())
        run = ["sh", "-c", tried.replace("exec python", "echo python")]
        said = subprocess.run(run, capture_output=True, check=True).stdout.decode()
        assert said.strip().endswith(option)
    assert container["command"] == ["sh", "-c"]
    assert job["failurePolicy"]["maxRestarts"] > 0
