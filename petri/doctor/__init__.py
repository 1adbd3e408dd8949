"""`petri doctor`: is this machine fit for Petri, and for hostile code, and if not, what to do about it."""

from __future__ import annotations

from petri.config import Config
from petri.doctor.finding import Finding, Severity
from petri.doctor.fitness import examine_fitness
from petri.doctor.production import examine_for_production, refusal

__all__ = ["Finding", "examine", "refusal", "summary"]


def examine(config: Config, *, strict: bool) -> list[Finding]:
    """Look at everything; a check that cannot be made is itself a finding.

    Unless `strict`, what is bad for hostile code only is a warning. With `pool.production` set it is always strict.
    """
    production = examine_for_production(config)
    if not (strict or config.pool.production):
        production = [finding.tolerated() for finding in production]
    return examine_fitness(config) + production


def summary(findings: list[Finding]) -> str:
    """One line: what is bad, by name, and how much else there is to read."""
    bad = list(dict.fromkeys(finding.id for finding in findings if finding.is_bad))
    warnings = sum(finding.severity is Severity.WARN for finding in findings)
    return f"{len(findings)} findings, {warnings} warnings, bad: {', '.join(bad) or 'none'}"
