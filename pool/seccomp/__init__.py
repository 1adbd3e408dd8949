"""Petri's own filter of system calls: a table, and the profile that an engine makes of it (docs/seccomp.md)."""

from pool.seccomp.profile import profile, security_opt
from pool.seccomp.table import GROUPS

__all__ = ["GROUPS", "profile", "security_opt"]
