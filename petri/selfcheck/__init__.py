"""Does each wall of a sandbox stand? A program in the sandbox looks, and the host judges (docs/selfcheck.md)."""

from petri.selfcheck.at_start import release_all
from petri.selfcheck.leased import Checks
from petri.selfcheck.probes import PROBES
from petri.selfcheck.report import Report

__all__ = ["PROBES", "Checks", "Report", "release_all"]
