import * as shapes from './shapes/index.mjs';
import data from './data.json' with { type: 'json' };
import { old } from './old.cjs';

const lazy = await import('./lazy.mjs');
console.log(shapes, shapes.area(2), data, old, lazy.default, lazy.here);
