package selfcheck

// System calls that the standard library has no name for.
const (
	sysSemget         = 190
	sysNameToHandleAt = 264
	sysSetns          = 268
	sysProcessVMReadv = 270
	sysKcmp           = 272
	sysMemfdCreate    = 279
	sysBpf            = 280
	sysUserfaultfd    = 282
)
