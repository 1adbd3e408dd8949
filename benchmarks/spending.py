"""What Petri's own two processes spend while something is measured: processor time and memory."""

from __future__ import annotations

from benchmarks.bench import Results
from benchmarks.instance import Petri


class Spending:
    """Starts to count when it is made."""

    def __init__(self, petri: Petri) -> None:
        self._petri = petri
        self._cpu = petri.cpu_seconds()
        self._memory = petri.memory_mib()

    def per_run(self, runs: int) -> Results:
        """Since then. Milliseconds a run, by process; empty where the processes cannot be seen."""
        now = self._petri.cpu_seconds()
        cpu = {name: round(1000 * (now[name] - before) / runs, 3) for name, before in self._cpu.items()}
        return {
            "cpu_ms_per_run": {**cpu, "together": round(sum(cpu.values()), 3)} if cpu else {},
            "rss_mib_before": self._memory,
            "rss_mib_after": self._petri.memory_mib(),
        }
