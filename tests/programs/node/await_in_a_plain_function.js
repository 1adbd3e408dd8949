function f() {
  await null;
}
f();
