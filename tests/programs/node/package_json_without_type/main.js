import { value } from '#inner';
import own from 'app/own';

console.log(value, own, import.meta.url);
