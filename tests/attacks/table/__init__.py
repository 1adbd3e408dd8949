"""All attacks, in the order of the threat model's rows."""

from tests.attacks.table import agent, escapes, resources

ATTACKS = (*resources.ATTACKS, *agent.ATTACKS, *escapes.ATTACKS)
