package selfcheck

import "syscall"

// nowhere is an address that no process has anything at.
const nowhere = 1

// call is a system call that the filter refuses, with arguments at which the kernel, were it asked, would find another
// fault than the filter says: so what comes back tells who answered.
type call struct {
	number    uintptr
	arguments [4]uintptr
}

// systemCalls tries one or two of each group that the filter's table refuses.
func systemCalls(*question) (any, error) {
	const (
		minusOne     = ^uintptr(0)
		nobody       = 1<<31 - 1   // a process id beyond any
		newUser      = 0x1000_0000 // CLONE_NEWUSER: with several threads, EINVAL
		peek         = 2           // PTRACE_PEEKDATA
		unknown      = 9999        // an operation that keyctl does not have
		kernelCrypto = 38          // AF_ALG
		tooLarge     = 1 << 20
	)
	own := uintptr(syscall.Getuid())
	calls := map[string]call{
		"unshare":           {syscall.SYS_UNSHARE, [4]uintptr{newUser}},
		"setns":             {sysSetns, [4]uintptr{minusOne}},
		"ptrace":            {syscall.SYS_PTRACE, [4]uintptr{peek, nobody}},
		"process_vm_readv":  {sysProcessVMReadv, [4]uintptr{nobody}},
		"kcmp":              {sysKcmp, [4]uintptr{nobody, nobody}},
		"mount":             {syscall.SYS_MOUNT, [4]uintptr{nowhere, nowhere, nowhere}},
		"bpf":               {sysBpf, [4]uintptr{0, nowhere, tooLarge}},
		"perf_event_open":   {syscall.SYS_PERF_EVENT_OPEN, [4]uintptr{nowhere}},
		"userfaultfd":       {sysUserfaultfd, [4]uintptr{minusOne}},
		"keyctl":            {syscall.SYS_KEYCTL, [4]uintptr{unknown}},
		"name_to_handle_at": {sysNameToHandleAt, [4]uintptr{minusOne, nowhere, nowhere, nowhere}},
		"semget":            {sysSemget, [4]uintptr{0, minusOne}},
		"mq_open":           {syscall.SYS_MQ_OPEN, [4]uintptr{nowhere, minusOne}},
		"setuid":            {syscall.SYS_SETUID, [4]uintptr{own}}, // which would change nothing, and be allowed
		"socket":            {syscall.SYS_SOCKET, [4]uintptr{kernelCrypto, syscall.SOCK_SEQPACKET}},
		"io_uring_setup":    {sysIoUringSetup, [4]uintptr{1, nowhere}},
		"memfd_create":      {sysMemfdCreate, [4]uintptr{nowhere, 0}},
		"clone3":            {sysClone3, [4]uintptr{nowhere, 0}},
		"splice":            {syscall.SYS_SPLICE, [4]uintptr{minusOne, 0, minusOne}},
	}
	found := make(map[string]string, len(calls))
	for name, one := range calls {
		a := one.arguments
		_, _, errno := syscall.Syscall6(one.number, a[0], a[1], a[2], a[3], 0, 0)
		found[name] = outcome(errno)
	}
	return found, nil
}

// Younger than the unified table of Linux 5.1: the same on every architecture.
const (
	sysIoUringSetup = 425
	sysClone3       = 435
)
