const require = (name) => `my own ${name}`;
console.log(require('x'), import.meta.filename);
