export const area = (radius) => radius * radius;
export default class Shape {}
