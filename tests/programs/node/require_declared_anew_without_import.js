const require = (name) => `my own ${name}`;
console.log(require('x'), typeof module);
