export default 'by its own name';
