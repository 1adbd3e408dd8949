console.log(process.execArgv, process.env.NODE_OPTIONS, Error.stackTraceLimit, typeof globalThis.gc, process.argv);
console.log(require('./extra-loaded') === globalThis.extra);
process.emitWarning('hidden');
throw new Error('short trace');
