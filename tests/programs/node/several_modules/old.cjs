exports.old = typeof require;
