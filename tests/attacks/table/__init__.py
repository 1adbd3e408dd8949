"""All attacks, in the order of the threat model's rows."""

from tests.attacks.table import agent, escapes, files, information, resources

ATTACKS = (*resources.ATTACKS, *agent.ATTACKS, *files.ATTACKS, *escapes.ATTACKS, *information.ATTACKS)
