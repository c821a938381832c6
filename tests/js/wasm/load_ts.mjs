// load_ts.mjs: modules of targets/wasm/js, bundled as they are and imported.
import { build } from "esbuild";
import { fileURLToPath } from "node:url";

const FOLDER = new URL("../../../targets/wasm/js/", import.meta.url);

export async function importTs(...names) {
  const { outputFiles } = await build({
    stdin: {
      contents: names.map((name) => `export * from "./${name}.ts";`).join("\n"),
      resolveDir: fileURLToPath(FOLDER),
      loader: "ts",
    },
    bundle: true,
    external: ["./bitnet-*.mjs"],
    format: "esm",
    write: false,
  });
  return import(`data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString("base64")}`);
}
