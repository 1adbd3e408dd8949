export const here = import.meta.url;
export default 'lazy';
