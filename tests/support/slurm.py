"""A real Slurm of one node on loopback: munged, slurmctld and slurmd, as whoever runs the tests."""

from __future__ import annotations

import getpass
import os
import socket
import subprocess
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from support.ports import free_port
from support.programs import require_program
from support.waiting import wait_until

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch")


class Slurm:
    """The cluster; use it in a `with` block. `environment` is what its commands need."""

    def __init__(self, folder: Path, *, cpus: int) -> None:
        self._folder = folder
        self._cpus = cpus
        self._stack = ExitStack()
        self.environment = os.environ | {"SLURM_CONF": str(folder / "slurm.conf")}

    def __enter__(self) -> Self:
        for name in ("state", "spool", "munge"):
            (self._folder / name).mkdir(parents=True, mode=0o700)
        (self._folder / "slurm.conf").write_text(self._configuration())
        (self._folder / "munge" / "key").write_bytes(os.urandom(1024))
        (self._folder / "munge" / "key").chmod(0o400)
        munge = self._folder / "munge"
        own = [f"--{name}={munge / name}" for name in ("key-file", "socket", "pid-file", "log-file", "seed-file")]
        own[0] = f"--key-file={munge / 'key'}"
        self._start("munged", "--foreground", "--force", *own)
        wait_until((munge / "socket").exists, what="munged does not listen")
        self._start("slurmctld", "-D")
        self._start("slurmd", "-D")
        wait_until(self._is_idle, 30.0, what=lambda: "no node: " + (self._folder / "slurmctld.log").read_text()[-800:])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def run_array(self, script: str, count: int, *, timeout_s: float) -> tuple[int, str]:
        """Run a shell script as a job array; return its exit status and what its tasks printed."""
        job = self._folder / "job.sh"
        job.write_text(f"#!/bin/sh\n{script}\n")
        said = self._folder / "task-%a"
        command = [require_program("sbatch"), "--wait", f"--array=0-{count - 1}", f"--output={said}", str(job)]
        done = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=timeout_s, check=False
        )
        printed = "".join(file.read_text() for file in sorted(self._folder.glob("task-*")))
        return done.returncode, done.stderr + printed

    def _start(self, program: str, *options: str) -> None:
        process = subprocess.Popen(
            [require_program(program), *options],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._stack.callback(process.wait, timeout=20)
        self._stack.callback(process.terminate)

    def _is_idle(self) -> bool:
        told = subprocess.run(
            [require_program("sinfo"), "--noheader", "--format=%t"],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        return told.stdout.strip() == "idle"

    def _configuration(self) -> str:
        host, user, folder = socket.gethostname().partition(".")[0], getpass.getuser(), self._folder
        # neither cgroups nor the machine's own munge: nothing here needs more than a user may do
        return f"""ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
SlurmctldPort={free_port()}
SlurmdPort={free_port()}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
NodeName={host} NodeAddr=127.0.0.1 CPUs={self._cpus} State=UNKNOWN
PartitionName=all Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""
