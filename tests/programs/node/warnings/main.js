process.emitWarning('careful', { code: 'MY001', detail: 'some detail' });
process.emitWarning('old', 'DeprecationWarning', 'DEP9999');
new Buffer(1);
const emitter = new (require('events'))();
for (let i = 0; i < 12; i++) emitter.on('x', () => {});
