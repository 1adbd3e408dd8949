"""All attacks, in the order of the threat model's rows."""

from tests.attacks.table import escapes, resources

ATTACKS = (*resources.ATTACKS, *escapes.ATTACKS)
