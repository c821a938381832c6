/* The Emscripten modules are made by the wasm build; glue.ts says what they export. */
declare module "*.mjs" {
  const factory: unknown;
  export default factory;
}
