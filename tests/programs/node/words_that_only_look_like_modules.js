// import nothing from 'nowhere'; export default; await
const text = `import x from "y"`;
async function main() {
  await null;
  console.log(text, { import: 1, export: 2 }.import);
}
main();
