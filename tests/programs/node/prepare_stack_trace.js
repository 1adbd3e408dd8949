Error.prepareStackTrace = (error, sites) => sites.map((site) => `${site.getFileName()?.replace(/.*\//, '')}:${site.getLineNumber()}`);
console.log(new Error('x').stack);
Error.stackTraceLimit = 1;
