import { name } from './lib.js';
