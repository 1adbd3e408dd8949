exports.pi = Math.PI;
