"""The systemd unit that `verbatim service` writes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

UNIT_NAME: Final = "verbatim.service"
SYSTEM_UNITS: Final = Path("/etc/systemd/system")
SYSTEM_VARIABLES: Final = Path("/etc/verbatim/verbatim.env")
STATE_FOLDER: Final = "verbatim"
"""Below /var/lib, and below /var/cache for fetched models."""
STOP_GRACE_S: Final = 15
"""After the drain time, for what a stop does besides waiting."""


@dataclass(frozen=True, slots=True)
class ServiceWish:
    """What the service is to be.

    Attributes:
        command: the `verbatim` program, as an absolute path.
        variables: file of VERBATIM_* variables; it may be missing.
        drain_s: how long running requests get to finish, seconds.
        own_user: run by the user's systemd instead of the system's.
    """

    command: Path
    variables: Path
    drain_s: float
    own_user: bool


def unit_text(wish: ServiceWish) -> str:
    """The unit file.

    A unit of the system runs as a user that exists only while it runs, and can write nothing but
    its own state. A user's own systemd may not take such rights away, and only gets the rest.
    """
    sections = (
        ("Unit", _unit()),
        ("Service", (*_service(wish), *(() if wish.own_user else _sandbox()))),
        ("Install", (f"WantedBy={'default' if wish.own_user else 'multi-user'}.target",)),
    )
    return "\n".join(f"[{name}]\n" + "\n".join(lines) + "\n" for name, lines in sections)


def units_folder(*, own_user: bool, home: Path) -> Path:
    """Where the unit file lies."""
    return home / ".config/systemd/user" if own_user else SYSTEM_UNITS


def variables_file(*, own_user: bool, home: Path) -> Path:
    """Where the service's variables are read from."""
    return home / ".config/verbatim/verbatim.env" if own_user else SYSTEM_VARIABLES


def _unit() -> tuple[str, ...]:
    return (
        "Description=Verbatim, speech to text",
        "Wants=network-online.target",
        "After=network-online.target",
        "StartLimitIntervalSec=300",
        "StartLimitBurst=10",
    )


def _service(wish: ServiceWish) -> tuple[str, ...]:
    return (
        f"ExecStart={_quoted(wish.command)} serve",
        f"EnvironmentFile=-{wish.variables}",
        "Environment=VERBATIM_LOG_FORMAT=json",
        "Restart=on-failure",
        "RestartSec=2",
        # The server passes the signal on to its models' processes in its own order.
        "KillMode=mixed",
        f"TimeoutStopSec={wish.drain_s + STOP_GRACE_S:g}",
        "LimitNOFILE=65536",
        "UMask=0077",
        "NoNewPrivileges=yes",
    )


def _sandbox() -> tuple[str, ...]:
    return (
        "DynamicUser=yes",
        f"StateDirectory={STATE_FOLDER}",
        f"CacheDirectory={STATE_FOLDER}",
        f"Environment=VERBATIM_DATA_DIR=/var/lib/{STATE_FOLDER}",
        f"Environment=HF_HOME=/var/cache/{STATE_FOLDER}/huggingface",
        f"Environment=HOME=/var/lib/{STATE_FOLDER}",
        "ProtectSystem=strict",
        "ProtectHome=read-only",
        "PrivateTmp=yes",
        # GPUs are the only devices it may open; PrivateDevices would hide them.
        "DevicePolicy=closed",
        "DeviceAllow=char-nvidia* rw",
        "ProtectClock=yes",
        "ProtectControlGroups=yes",
        "ProtectHostname=yes",
        "ProtectKernelLogs=yes",
        "ProtectKernelModules=yes",
        "ProtectKernelTunables=yes",
        "ProtectProc=invisible",
        "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK",
        "RestrictNamespaces=yes",
        "RestrictRealtime=yes",
        "RestrictSUIDSGID=yes",
        "LockPersonality=yes",
        "RemoveIPC=yes",
        "CapabilityBoundingSet=",
        "SystemCallArchitectures=native",
        "SystemCallFilter=@system-service",
        "SystemCallErrorNumber=EPERM",
        # No MemoryDenyWriteExecute: oneDNN makes its kernels while it runs.
    )


def _quoted(path: Path) -> str:
    """A path as systemd reads it in a command line."""
    text = str(path).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{text}"' if any(c.isspace() for c in text) else text
