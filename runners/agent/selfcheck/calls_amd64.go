package selfcheck

// System calls that the standard library has no name for.
const (
	sysSemget         = 64
	sysNameToHandleAt = 303
	sysSetns          = 308
	sysProcessVMReadv = 310
	sysKcmp           = 312
	sysMemfdCreate    = 319
	sysBpf            = 321
	sysUserfaultfd    = 323
)
