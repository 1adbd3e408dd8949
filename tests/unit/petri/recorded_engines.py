"""Answers to /version and /info, cut to what the doctor reads: Debian 12 recorded, others in their form."""

from __future__ import annotations

from typing import Any

KERNEL = "6.12.48+deb13-amd64"


def version(docker: tuple[str, str], containerd: tuple[str, str], runc: tuple[str, str]) -> dict[str, Any]:
    parts = {"Engine": docker, "containerd": containerd, "runc": runc, "docker-init": ("0.19.0", "de40ad0")}
    return {
        "Version": docker[0],
        "ApiVersion": "1.41",
        "Components": [
            {"Name": name, "Version": number, "Details": {"GitCommit": commit}}
            for name, (number, commit) in parts.items()
        ],
    }


DEBIAN_12 = version(
    ("20.10.24+dfsg1", "5d6db84"), ("1.6.20~ds1", "1.6.20~ds1-1+deb12u3"), ("1.1.5+ds1", "1.1.5+ds1-1+deb12u1")
)
UBUNTU_24_04 = version(("28.2.2", "28.2.2-0ubuntu1~24.04.1"), ("1.7.28", ""), ("1.3.3-0ubuntu1~24.04.3", ""))
DOCKER_CE_27 = version(
    ("27.3.1", "41ca978"),
    ("1.7.22", "7f7fdf5fed64eb6a7caf99b3e12efcf9d60e311c"),
    ("1.1.14", "v1.1.14-0-g2c9f560"),
)
DOCKER_CE_28 = version(
    ("28.5.2", "89c5e8f"),
    ("v2.1.5", "fcd43222d6b07379a4be9786bda52438f0dd16a1"),
    ("1.3.3", "v1.3.3-0-gd842d771"),
)
DOCKER_CE_29 = version(
    ("29.6.1", "8f4c1ab"), ("v2.3.2", "0e9fd0b5bf1b2d4bf4b3b9e7d8b6f5c0d1a2b3c4"), ("1.5.0", "v1.5.0-0-g4a1b2c3")
)

INFO: dict[str, Any] = {
    "SecurityOptions": ["name=apparmor", "name=seccomp,profile=builtin", "name=cgroupns"],
    "DefaultRuntime": "runc",
    "Runtimes": {"io.containerd.runc.v2": {"path": "runc"}, "runc": {"path": "runc"}},
    "LiveRestoreEnabled": True,
    "CgroupVersion": "2",
    "KernelVersion": KERNEL,
    "Warnings": None,
}
