const { pi } = require('./constants');
exports.area = ({ radius }) => (pi * radius ** 2).toFixed(3);
