"""What must be true of the engine before hostile code runs on it."""

from __future__ import annotations

from petri.doctor.advisories import first_with_all, still_open
from petri.doctor.facts import EngineFacts
from petri.doctor.finding import BAD, OK, WARN, Unreadable, Verdict, check
from petri.doctor.packages import of_component
from petri.doctor.versions import Version
from pool.runtimes import RUNC, family

#: A name under which engines of before 2023 run containers with plain runc, besides those that say so.
_OLD_RUNC = "io.containerd.runtime.v1.linux"
#: What the engine's own profile and Petri's need: to refuse a call, and to end a whole process.
_SECCOMP_ACTIONS = {"errno", "kill_process"}


@check(
    "same-machine",
    worst=BAD,
    why="The checks of the host look at this machine; with an engine elsewhere nobody looked at the right one.",
    remedy="run the pool, and this command, on the engine's own machine, outside of any virtual machine's guest",
)
def same_machine(facts: EngineFacts) -> Verdict:
    engine = facts.engine
    if not engine.address.is_local:
        return Verdict(BAD, f"the engine is at {engine.address.url}")
    if engine.kernel != facts.host.release:
        return Verdict(BAD, f"the engine runs on Linux {engine.kernel}, this is {facts.host.release}")
    return Verdict(OK, "engine and Petri share one kernel")


def _version(facts: EngineFacts, component: str) -> Verdict:
    """Whether the component is past every advisory, by number or by its distribution's changelog."""
    said = facts.engine.components.get(component)
    if said is None or (version := Version.parse(said.version)) is None:
        stated = said.version if said else "not stated"
        raise Unreadable(f"version {stated} cannot be compared with the advisories")
    package = of_component(facts.packages, component, said.version, said.commit)
    by_number = still_open(component, version, frozenset())
    # A program that runs from a replaced file is older than its package's changelog.
    daemons = facts.host.daemons
    is_current = component not in daemons.replaced and component not in daemons.unseen
    fixed = package.fixed if package and is_current else None
    found = still_open(component, version, fixed or frozenset())
    label = said.version + (f" from {package.name} {package.version}" if package else "")
    if helped := sorted({cve for _, cves in by_number for cve in cves} & (fixed or frozenset())):
        label += f", which fixes {', '.join(helped)}"
    if found and package and package.fixed is None:
        label += " (its changelog is not here: fixes of the distribution cannot be seen)"
    if found and package and component in daemons.unseen:
        label += f" ({daemons.unseen[component]}: its changelog may be newer than what runs)"
    if not found:
        return Verdict(OK, label)
    holes = "; ".join(f"{', '.join(cves)} ({advisory.what})" for advisory, cves in found)
    remedy = (
        f"upgrade {package.name if package else component} to a release from {component} "
        f"{' / '.join(first_with_all(advisory for advisory, _ in found))} on, or to a build of your distribution "
        "whose changelog names these; Docker's own packages: https://docs.docker.com/engine/install/"
    )
    return Verdict(max(advisory.severity for advisory, _ in found), f"{label}: open are {holes}", remedy)


_UPGRADE = "upgrade the package; where the distribution has no fix, install Docker's own packages"


@check(
    "docker",
    worst=BAD,
    why="A known hole in the engine is a known way from a container, or from a copied file, to the host's root.",
    remedy=_UPGRADE,
)
def docker(facts: EngineFacts) -> Verdict:
    return _version(facts, "docker")


@check(
    "containerd",
    worst=BAD,
    why="containerd holds every container's files and process; whoever gets at them is behind the walls.",
    remedy=_UPGRADE,
)
def containerd(facts: EngineFacts) -> Verdict:
    return _version(facts, "containerd")


@check(
    "runc",
    worst=BAD,
    why="runc builds the walls as root; with these holes a container gets out, or writes to the host, while it does.",
    remedy=_UPGRADE,
)
def runc(facts: EngineFacts) -> Verdict:
    used = facts.runtimes or frozenset({""})
    if "" in used and not facts.engine.default_runtime:
        raise Unreadable("the engine does not state its runtime")
    names = {name or facts.engine.default_runtime for name in used}
    others = sorted(name for name in names if family(name) != RUNC and name != _OLD_RUNC)
    unknown = f"sandboxes run under {', '.join(others)}, whose advisories are not known here" if others else ""
    if len(others) == len(names):
        return Verdict(WARN, unknown)
    found = _version(facts, "runc")
    return Verdict(max(found.severity, WARN), f"{found.seen}; {unknown}", found.remedy) if others else found


@check(
    "restart-pending",
    worst=WARN,
    why="A fix that is installed and not running protects nobody.",
    remedy="restart the engine, or the machine; with live-restore on, running sandboxes survive an engine's restart",
)
def restart_pending(facts: EngineFacts) -> Verdict:
    daemons = facts.host.daemons
    waiting = [f"{name} runs a file that was replaced" for name in sorted(daemons.replaced)]
    if facts.host.read("/run/reboot-required") is not None:
        waiting.append("the distribution asks for a reboot")
    if waiting:
        return Verdict(WARN, ", ".join(waiting))
    if daemons.unseen:
        raise Unreadable("; ".join(daemons.unseen.values()))
    return Verdict(OK, "nothing installed waits for a restart")


@check(
    "seccomp",
    worst=BAD,
    why="Without seccomp a sandbox reaches every call of the kernel: the largest wall there is would be missing.",
    remedy="use a kernel with CONFIG_SECCOMP_FILTER (4.14 or newer) and an engine with seccomp that is not unconfined",
)
def seccomp(facts: EngineFacts) -> Verdict:
    option = facts.engine.option("seccomp")
    actions = set((facts.host.sysctl("kernel.seccomp.actions_avail") or "").split())
    if option is None:
        return Verdict(BAD, "the engine has no seccomp")
    if not actions >= _SECCOMP_ACTIONS:
        return Verdict(BAD, f"the kernel's seccomp lacks {', '.join(sorted(_SECCOMP_ACTIONS - actions))}")
    if "profile=unconfined" in option:
        return Verdict(WARN, "sandboxes have Petri's profile, but the engine's other containers have none")
    return Verdict(OK, "the kernel filters calls, the engine applies profiles, each sandbox has Petri's")


@check(
    "lsm",
    worst=WARN,
    why="AppArmor or SELinux still stands between a container and the host's files when other walls fall.",
    remedy='install and boot with AppArmor (security=apparmor), or give the engine SELinux ("selinux-enabled": true)',
)
def lsm(facts: EngineFacts) -> Verdict:
    on = [name for name in ("apparmor", "selinux") if facts.engine.option(name)]
    return Verdict(OK, f"{on[0]} confines containers") if on else Verdict(WARN, "neither AppArmor nor SELinux")


@check(
    "userns-remap",
    worst=WARN,
    why="With remapped user ids, root inside a container is nobody outside, but sandboxes need ids that are mapped.",
    remedy="give the remapped user more than pool.uid_base ids in /etc/subuid and /etc/subgid, or lower pool.uid_base",
)
def userns_remap(facts: EngineFacts) -> Verdict:
    if facts.engine.option("rootless"):
        return Verdict(OK, "the engine itself runs without root")
    if not facts.engine.option("userns"):
        return Verdict(OK, f"off; sandboxes are never root: they run as user ids from {facts.uid_base} on")
    sizes = [int(size) for user, _, size in _subuids(facts) if user == "dockremap" and size.isdigit()]
    if sizes and sum(sizes) <= facts.uid_base:
        return Verdict(WARN, f"on, for {sum(sizes)} ids: sandboxes from id {facts.uid_base} on cannot start")
    return Verdict(OK, "on: root in a container is nobody outside")


def _subuids(facts: EngineFacts) -> list[tuple[str, str, str]]:
    rows = [line.split(":") for line in (facts.host.read("/etc/subuid") or "").splitlines()]
    return [(row[0], row[1], row[2]) for row in rows if len(row) == 3]


@check(
    "engine-tcp",
    worst=BAD,
    why="Whoever reaches the API is root on this machine; over TCP without TLS that is every user and every neighbour.",
    remedy="take tcp:// out of hosts in daemon.json and out of dockerd's -H arguments, or give it TLS with tlsverify",
)
def engine_tcp(facts: EngineFacts) -> Verdict:
    if not facts.engine.address.is_local:
        return Verdict(BAD, f"Petri itself reaches the engine at {facts.engine.address.url}, without TLS")
    daemons = facts.host.daemons
    if daemons.plain_apis:
        return Verdict(BAD, f"an engine answers without TLS at {', '.join(daemons.plain_apis)}")
    # The engine's own warning is free text: it may only ever add to what was found by asking.
    for warning in facts.engine.warnings:
        if "API is accessible on http" in warning:
            return Verdict(BAD, f"the engine warns: {warning.splitlines()[0]}")
    if "docker" in daemons.unseen:
        raise Unreadable(daemons.unseen["docker"])
    return Verdict(OK, "no engine answers over TCP without TLS")


@check(
    "engine-socket",
    worst=BAD,
    why="Whoever may write to the engine's socket is root on this machine.",
    remedy="chmod 0660 the socket (systemd: SocketMode=0660 in docker.socket), and keep people out of its group",
)
def engine_socket(facts: EngineFacts) -> Verdict:
    if not facts.engine.address.is_local:
        return Verdict(OK, "not a file of this machine")
    if (file := facts.engine.socket) is None:
        raise Unreadable(f"{facts.engine.address.url} cannot be looked at")
    seen = f"{file.path} {file.mode:04o}, group {file.group}"
    if file.mode & 0o002:
        return Verdict(BAD, f"{seen}: every user may write to it")
    if file.mode & 0o020 and file.members:
        return Verdict(WARN, f"{seen}: {', '.join(file.members)} might as well be root")
    return Verdict(OK, seen)


@check(
    "live-restore",
    worst=WARN,
    why="Without it a restart of the engine, for a security fix too, ends every run and empties every pool.",
    remedy='"live-restore": true in daemon.json, then reload the engine (systemctl reload docker)',
)
def live_restore(facts: EngineFacts) -> Verdict:
    return Verdict(OK, "on") if facts.engine.live_restore else Verdict(WARN, "off")


@check(
    "cgroup-version",
    worst=WARN,
    why="Docker and runc have deprecated version 1, and only version 2 can kill a frozen process.",
    remedy="boot with systemd.unified_cgroup_hierarchy=1, or on a distribution whose default is version 2",
)
def cgroup_version(facts: EngineFacts) -> Verdict:
    version = facts.engine.cgroup_version or "not stated"
    return Verdict(OK if version == "2" else WARN, f"version {version}")


ENGINE_CHECKS = (
    same_machine,
    docker,
    containerd,
    runc,
    restart_pending,
    seccomp,
    lsm,
    userns_remap,
    engine_tcp,
    engine_socket,
    live_restore,
    cgroup_version,
)
