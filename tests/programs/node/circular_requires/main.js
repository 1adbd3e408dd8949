exports.early = 1;
const other = require('./other');
exports.late = 2;
console.log(other.seen, require('./main') === module.exports);
