"""Programs that measure, so that anyone can repeat what the documents say."""
