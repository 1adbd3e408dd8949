"""The HTTP face: parse, lease, run over the channel, answer, release. Holds no Docker socket."""
