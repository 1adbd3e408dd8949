"""Keep frozen, never-used sandboxes ready, lease each of them once, destroy and replace it."""
