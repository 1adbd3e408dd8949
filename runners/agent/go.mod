module petri/agent

go 1.27
