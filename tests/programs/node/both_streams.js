console.log('to stdout');
console.error('to stderr');
process.stdout.write('no newline at the end');
