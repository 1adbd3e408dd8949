module petri/goworker

go 1.24
