"""A PostgreSQL of the tests' own: private folder and socket, no network, thrown away at the end."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg.sql import SQL, Identifier

DEBIAN_FOLDERS = "/usr/lib/postgresql/*/bin"
UNPRIVILEGED = ("postgres", "nobody")
START_S = "60"
QUICK = "-c fsync=off -c full_page_writes=off -c synchronous_commit=off -c max_connections=60"
ABSENT = "PostgreSQL is not on this machine; on Debian, `apt-get install postgresql` brings it"


@dataclass
class PostgresServer:
    """A running server; each test has a schema of its own, for whole databases take long."""

    sockets: Path
    user: str
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def url(self) -> str:
        return f"postgresql://{self.user}@/postgres?host={self.sockets}"

    def new_database(self) -> str:
        """Make room where nothing is yet; its URL."""
        name = f"test{next(self._numbers)}"
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(SQL("CREATE SCHEMA {}").format(Identifier(name)))
        return f"{self.url}&options=-csearch_path%3D{name}"


def programs() -> Path | None:
    """Where PostgreSQL's programs are; the newest where there are several."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    folders = [f for f in Path("/").glob(DEBIAN_FOLDERS.lstrip("/")) if (f / "initdb").is_file()]
    return max(folders, key=lambda folder: float(folder.parent.name), default=None)


def _user() -> pwd.struct_passwd:
    """Who runs it: it refuses to run as root."""
    if os.getuid():
        return pwd.getpwuid(os.getuid())
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    return next(known[name] for name in UNPRIVILEGED if name in known)


@contextmanager
def running_postgres(bin_folder: Path) -> Iterator[PostgresServer]:
    """Start one, and stop it at the end."""
    user = _user()
    # A socket's path is at most 107 characters long, so it lies in no folder of pytest's.
    folder = Path(tempfile.mkdtemp(prefix="verbatim-pg-"))
    os.chown(folder, user.pw_uid, user.pw_gid)
    data = folder / "data"

    def run(program: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(bin_folder / program), "-D", str(data), *arguments],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "HOME": str(folder)},
            user=None if os.getuid() else user.pw_uid,
            group=None if os.getuid() else user.pw_gid,
        )
        assert done.returncode == 0, done.stderr

    try:
        run(
            "initdb",
            "-A",
            "trust",
            "-U",
            user.pw_name,
            "-E",
            "UTF8",
            "--no-sync",
            "--wal-segsize=1",
        )
        options = f"-c listen_addresses='' -c unix_socket_directories={folder} {QUICK}"
        run("pg_ctl", "start", "-w", "-t", START_S, "-l", str(folder / "log"), "-o", options)
        try:
            yield PostgresServer(folder, user.pw_name)
        finally:
            run("pg_ctl", "stop", "-w", "-m", "immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
