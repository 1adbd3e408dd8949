"""What runs inside a sandbox, and the protocol in which the host talks to it."""
