"""Which system calls a sandbox has, and why it does not have the others. The one place to change the filter.

Every call of Linux is in one group; a test keeps it so. A call that is younger than all of these is answered ENOSYS.
"""

from __future__ import annotations

from pool.seccomp.rule import POINTER, Action, Argument, Case, Group, other_than

_CLONE_NEW_NAMESPACES = 0x7E02_0000  # CLONE_NEW* of NS, CGROUP, UTS, IPC, USER, PID, NET
_PER_LINUX, _PERSONALITY_QUERY = 0, 0xFFFF_FFFF
_S_IFMT, _S_IFIFO, _S_IFREG = 0o170000, 0o010000, 0o100000
_RLIMIT_CORE, _RLIMITS = 4, 16
_TIOCSETD = 0x5423
_PRIO_PROCESS, _IOPRIO_WHO_PROCESS = 0, 1

_AF_UNIX, _AF_INET, _AF_INET6, _AF_NETLINK = 1, 2, 10, 16
_SOCK_STREAM, _SOCK_DGRAM, _SOCK_TYPE_MASK = 1, 2, 0xF
_IPPROTO_IP, _IPPROTO_TCP, _IPPROTO_UDP = 0, 6, 17
_NETLINK_ROUTE = 0


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _internet(family: int) -> tuple[Case, ...]:
    """TCP and UDP of one family, by name or by default."""
    return tuple(
        (Argument(0, family), Argument(1, kind, _SOCK_TYPE_MASK), Argument(2, protocol))
        for kind, own in ((_SOCK_STREAM, _IPPROTO_TCP), (_SOCK_DGRAM, _IPPROTO_UDP))
        for protocol in (_IPPROTO_IP, own)
    )


ALLOWED = (
    Group(
        "files",
        Action.ALLOW,
        "Open, read, write, link, remove. What may be touched is decided by the mounts and by the user id.",
        _names("""
            access chdir chmod chown close close_range copy_file_range creat dup dup2 dup3 faccessat faccessat2
            fadvise64 fallocate fchdir fchmod fchmodat fchmodat2 fchown fchownat fcntl fdatasync fgetxattr flistxattr
            flock fremovexattr fsetxattr fstat fstatfs fsync ftruncate futimesat getcwd getdents getdents64 getxattr
            lchown lgetxattr link linkat listxattr llistxattr lremovexattr lseek lsetxattr lstat mkdir mkdirat
            newfstatat open openat openat2 pipe pipe2 pread64 preadv preadv2 pwrite64 pwritev pwritev2 read readahead
            readlink readlinkat readv removexattr rename renameat renameat2 rmdir sendfile setxattr stat statfs statx
            symlink symlinkat sync_file_range truncate umask unlink unlinkat utime utimensat utimes write writev
        """),
    ),
    Group(
        "waiting for files",
        Action.ALLOW,
        "Event loops of every language; inotify is Node's `fs.watch`.",
        _names("""
            epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 epoll_wait eventfd eventfd2 inotify_add_watch
            inotify_init inotify_init1 inotify_rm_watch poll ppoll pselect6 select signalfd signalfd4 timerfd_create
            timerfd_gettime timerfd_settime
        """),
    ),
    Group(
        "memory of one's own",
        Action.ALLOW,
        "Heaps, stacks, code made at run time. The cgroup and RLIMIT_MEMLOCK bound it.",
        _names("""
            brk madvise membarrier mincore mlock mlock2 mlockall mmap mprotect mremap msync munlock munlockall munmap
            pkey_alloc pkey_free pkey_mprotect
        """),
    ),
    Group(
        "processes and threads",
        Action.ALLOW,
        "Start, end, wait for and signal one's own kind; the sandbox holds nobody else, and the cgroup counts them.",
        _names("""
            arch_prctl execve execveat exit exit_group fork futex futex_waitv get_robust_list getcpu getpgid getpgrp
            getpid getppid getsid gettid kill pidfd_open pidfd_send_signal prctl restart_syscall rseq rt_sigaction
            rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo
            set_robust_list set_tid_address setpgid setsid sigaltstack tgkill tkill vfork wait4 waitid pause
        """),
    ),
    Group(
        "looking at oneself and at limits",
        Action.ALLOW,
        "Reads only. Of others it tells no more than /proc does.",
        _names("""
            capget getegid geteuid getgid getgroups getpriority getresgid getresuid getrlimit getrusage getuid
            ioprio_get sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr sched_getparam
            sched_getscheduler sched_rr_get_interval sched_yield sysinfo uname
        """),
    ),
    Group(
        "time",
        Action.ALLOW,
        "Read clocks, sleep, set timers of one's own.",
        _names("""
            alarm clock_getres clock_gettime clock_nanosleep getitimer gettimeofday nanosleep setitimer time
            timer_create timer_delete timer_getoverrun timer_gettime timer_settime times
        """),
    ),
    Group(
        "using sockets",
        Action.ALLOW,
        "Which sockets there are is decided where they are made: `socket`, below.",
        _names("""
            accept accept4 bind connect getpeername getsockname getsockopt listen recvfrom recvmmsg recvmsg sendmmsg
            sendmsg sendto setsockopt shutdown
        """),
    ),
    Group(
        "randomness",
        Action.ALLOW,
        "Every language's hashes and keys begin here.",
        _names("getrandom"),
    ),
    Group(
        "locking oneself in further",
        Action.ALLOW,
        "A program may give up more than is taken from it; it can win nothing back.",
        _names("landlock_add_rule landlock_create_ruleset landlock_restrict_self seccomp"),
    ),
    Group(
        "trampolines of a host that traces",
        Action.ALLOW,
        "The kernel itself makes a traced program call these, and a refusal would end it. By hand they do nothing.",
        _names("uprobe uretprobe"),
    ),
)

SOME = (
    Group(
        "sockets",
        Action.ALLOW,
        "UNIX; TCP and UDP over IPv4 and IPv6; NETLINK_ROUTE, with which interfaces are listed. Every other family and "
        "protocol (vsock, packet, AF_ALG, SCTP, MPTCP, netfilter over netlink …) is kernel code that no program here "
        "needs, and asking for one makes the kernel load its module.",
        _names("socket"),
        (
            (Argument(0, _AF_UNIX),),
            *_internet(_AF_INET),
            *_internet(_AF_INET6),
            (Argument(0, _AF_NETLINK), Argument(2, _NETLINK_ROUTE)),
        ),
    ),
    Group("pairs of sockets", Action.ALLOW, "UNIX.", _names("socketpair"), ((Argument(0, _AF_UNIX),),)),
    Group(
        "clone without new namespaces",
        Action.ALLOW,
        "Threads and processes, but no CLONE_NEW* flag: a user namespace of one's own opens the kernel code that is "
        "otherwise root's, where most ways out have been found.",
        _names("clone"),
        ((Argument(0, 0, _CLONE_NEW_NAMESPACES),),),
    ),
    Group(
        "requests to devices",
        Action.ALLOW,
        "All but TIOCSETD. Anybody can make a terminal of their own, and each line discipline that it is given is "
        "a module of the kernel's: old code that nobody here needs, with a row of holes.",
        _names("ioctl"),
        tuple((request,) for request in other_than(1, _TIOCSETD, 1 << 32)),
    ),
    Group(
        "limits",
        Action.ALLOW,
        "Read any; set one's own, given as process 0, but never RLIMIT_CORE. With another process's id a program could "
        "cripple the agent, which has its user id. The core limit decides whether the host's core dump handler, "
        "a program run as root outside, is started with what a crashing guest made of its memory.",
        _names("prlimit64"),
        (
            (Argument(2, 0, POINTER),),
            *((Argument(0, 0), resource) for resource in other_than(1, _RLIMIT_CORE, _RLIMITS)),
        ),
    ),
    Group(
        "limits, the old call",
        Action.ALLOW,
        "As above, and always for oneself.",
        _names("setrlimit"),
        tuple((resource,) for resource in other_than(0, _RLIMIT_CORE, _RLIMITS)),
    ),
    Group(
        "scheduling of oneself",
        Action.ALLOW,
        "Process 0 only: the agent has the same user id, and must not be slowed down or pinned.",
        _names("sched_setaffinity sched_setattr sched_setparam sched_setscheduler"),
        ((Argument(0, 0),),),
    ),
    Group(
        "niceness of oneself",
        Action.ALLOW,
        "As above. Process group and user are refused, too: the agent may be in them.",
        _names("setpriority"),
        ((Argument(0, _PRIO_PROCESS), Argument(1, 0)),),
    ),
    Group(
        "input and output priority of oneself",
        Action.ALLOW,
        "As above.",
        _names("ioprio_set"),
        ((Argument(0, _IOPRIO_WHO_PROCESS), Argument(1, 0)),),
    ),
    Group(
        "named pipes",
        Action.ALLOW,
        "FIFOs and plain files; no device, not even the one that overlay file systems give a meaning.",
        _names("mknod"),
        tuple((Argument(1, kind, _S_IFMT),) for kind in (0, _S_IFIFO, _S_IFREG)),
    ),
    Group(
        "named pipes, relative to a directory",
        Action.ALLOW,
        "As above.",
        _names("mknodat"),
        tuple((Argument(2, kind, _S_IFMT),) for kind in (0, _S_IFIFO, _S_IFREG)),
    ),
    Group(
        "personality",
        Action.ALLOW,
        "Ask for it, or set the plain one. Others switch off address randomisation, or imitate other systems.",
        _names("personality"),
        ((Argument(0, _PER_LINUX),), (Argument(0, _PERSONALITY_QUERY),)),
    ),
)

REFUSED = (
    Group(
        "io_uring",
        Action.ENOSYS,
        "System calls through a ring of memory, past this filter and past every log; a long row of kernel faults. Node "
        "and others take their threads instead.",
        _names("io_uring_enter io_uring_register io_uring_setup"),
    ),
    Group(
        "files without a name",
        Action.ENOSYS,
        "Code could run that never lay in a file system; secret memory is out of reach of whoever looks into a crash.",
        _names("memfd_create memfd_secret"),
    ),
    Group(
        "clone3",
        Action.ENOSYS,
        "Its flags lie in memory, which a filter cannot read. C libraries fall back on clone.",
        _names("clone3"),
    ),
    Group(
        "splicing",
        Action.EINVAL,
        "Moves pages of the page cache into pipes and sockets by reference: Dirty Pipe and its like wrote into files "
        "of the image that way. Go and the core utilities copy by hand then.",
        _names("splice tee vmsplice"),
    ),
    Group(
        "asynchronous input and output of old",
        Action.ENOSYS,
        "Used by databases on raw disks; much kernel code for nothing here.",
        _names("io_cancel io_destroy io_getevents io_pgetevents io_setup io_submit"),
    ),
    Group(
        "younger than need be",
        Action.ENOSYS,
        "No library depends on them yet, and few eyes have been on them. Listed, because a number in between two that "
        "are known would be answered EPERM.",
        _names("""
            cachestat file_getattr file_setattr futex_requeue futex_wait futex_wake getxattrat listmount listns
            listxattrat lsm_get_self_attr lsm_list_modules lsm_set_self_attr map_shadow_stack mseal open_tree_attr
            removexattrat rseq_slice_yield set_mempolicy_home_node setxattrat statmount
        """),
    ),
    Group(
        "other processes' insides",
        Action.EPERM,
        "Read or change another's memory, descriptors, registers: with it one exec of a session could reach into the "
        "next one's worker. Debuggers that attach do not work.",
        _names("""
            kcmp pidfd_getfd process_madvise process_mrelease process_vm_readv process_vm_writev ptrace
        """),
    ),
    Group(
        "kernel programs and counters",
        Action.EPERM,
        "bpf, perf and userfaultfd: the richest grounds for, and the handiest tools of, attacks on the kernel.",
        _names("bpf perf_event_open userfaultfd"),
    ),
    Group(
        "keyrings",
        Action.EPERM,
        "Not separated by namespaces: kept per user id, shared with the host, and they outlive a container.",
        _names("add_key keyctl request_key"),
    ),
    Group(
        "mounts",
        Action.EPERM,
        "The file system is as the pool made it.",
        _names("""
            chroot fsconfig fsmount fsopen fspick mount mount_setattr move_mount open_tree pivot_root
            umount2
        """),
    ),
    Group(
        "namespaces",
        Action.EPERM,
        "See clone: no new ones, and no entering of others.",
        _names("setns unshare"),
    ),
    Group(
        "files by handle",
        Action.EPERM,
        "A handle opens any file of a file system, in the container's view or not.",
        _names("name_to_handle_at open_by_handle_at"),
    ),
    Group(
        "watching whole file systems",
        Action.EPERM,
        "fanotify sees what others do with the image's files.",
        _names("fanotify_init fanotify_mark"),
    ),
    Group(
        "System V communication",
        Action.EPERM,
        "Objects that belong to no process and outlive them. POSIX semaphores and shared memory, which Python's "
        "multiprocessing uses, are files in /dev/shm and work.",
        _names("msgctl msgget msgrcv msgsnd semctl semget semop semtimedop shmat shmctl shmdt shmget"),
    ),
    Group(
        "POSIX message queues",
        Action.EPERM,
        "Kernel memory counted per user id.",
        _names("mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedsend mq_unlink"),
    ),
    Group(
        "becoming somebody else",
        Action.EPERM,
        "A sandbox has one user id and no capability for as long as it lives.",
        _names("""
            capset setfsgid setfsuid setgid setgroups setregid setresgid setresuid setreuid setuid
        """),
    ),
    Group(
        "memory across processors' nodes",
        Action.EPERM,
        "Placement is the host's; move_pages also tells where others' pages lie.",
        _names("""
            get_mempolicy mbind migrate_pages move_pages set_mempolicy
        """),
    ),
    Group(
        "flushing the host's disks",
        Action.EPERM,
        "Makes the whole host write out what every other tenant has dirtied. A sandbox has nothing on a disk.",
        _names("sync syncfs"),
    ),
    Group(
        "setting clocks",
        Action.EPERM,
        "There is one clock for all.",
        _names("adjtimex clock_adjtime clock_settime settimeofday"),
    ),
    Group(
        "running the machine",
        Action.EPERM,
        "Modules, reboot, swap, quotas, names, the kernel's log, ports of the hardware: an administrator's.",
        _names("""
            acct delete_module finit_module init_module ioperm iopl kexec_file_load kexec_load modify_ldt quotactl
            quotactl_fd reboot setdomainname sethostname swapoff swapon syslog vhangup
        """),
    ),
    Group(
        "left over",
        Action.EPERM,
        "Of older kernels, of other systems, or never there; nobody calls them.",
        _names("""
            _sysctl afs_syscall create_module epoll_ctl_old epoll_wait_old get_kernel_syms get_thread_area getpmsg
            lookup_dcookie nfsservctl putpmsg query_module remap_file_pages security set_thread_area sysfs tuxcall
            uselib ustat vserver
        """),
    ),
)

GROUPS = (*ALLOWED, *SOME, *REFUSED)
