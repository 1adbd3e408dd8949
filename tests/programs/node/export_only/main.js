export const x = 1;
export default function named() {}
console.log('exports', x, named.name);
