exports.seen = { ...require('./main') };
