const fs = require('fs');
const { area } = require('./shapes');
const data = require('./data.json');
console.log(area({ radius: 2 }), data.values, module.children.map((child) => child.id));
console.log(fs.readFileSync(`${__dirname}/input.txt`, 'utf8'));
