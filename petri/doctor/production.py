"""Production mode: a pool that is to run hostile code does not start on a host that is known to be bad for it."""

from __future__ import annotations

from petri.config import Config
from petri.doctor.engine_checks import ENGINE_CHECKS
from petri.doctor.facts import gather
from petri.doctor.finding import BAD, Finding
from petri.doctor.host_checks import HOST_CHECKS
from pool.engine import EngineError


def examine_for_production(config: Config) -> list[Finding]:
    """Every check of engine and host. An engine that does not answer is one bad finding in place of its own."""
    host, engine = gather(config)
    if isinstance(engine, EngineError):
        unknown = Finding("engine-facts", BAD, str(engine), "Nothing is known of the engine.", "start it", True)
        findings = [unknown]
    else:
        findings = [look(engine) for look in ENGINE_CHECKS]
    return findings + [look(host) for look in HOST_CHECKS]


def reference() -> list[tuple[str, str, str, str]]:
    """(check, worst, why, remedy) of every check, for docs/hardening.md."""
    checks = [(one.id, one.worst, one.why, one.remedy) for one in ENGINE_CHECKS]
    checks += [(one.id, one.worst, one.why, one.remedy) for one in HOST_CHECKS]
    return [(name, str(worst), why, remedy) for name, worst, why, remedy in checks]


def refusal(config: Config) -> str | None:
    """Why a pool of this configuration must not start, with what to do; None where it may."""
    if not config.pool.production:
        return None
    bad = [finding for finding in examine_for_production(config) if finding.is_bad]
    if not bad:
        return None
    lines = [f"  {finding.id}: {finding.seen}\n    → {finding.remedy}" for finding in bad]
    return "\n".join(
        [
            f"pool.production is set, and this host is not fit for hostile code ({len(bad)} bad findings):",
            *lines,
            "`petri doctor --strict` shows everything, docs/hardening.md explains it; "
            "without pool.production the pool starts all the same",
        ]
    )
