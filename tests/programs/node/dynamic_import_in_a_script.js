import('node:path').then(({ posix }) => console.log(posix.join('a', 'b'), typeof require));
console.log('first');
