package config

import _ "embed"

//go:embed text.txt
var Text string
