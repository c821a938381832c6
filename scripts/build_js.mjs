// build_js.mjs: the npm package (dist/) and the pages (build/web/), from TypeScript and the wasm modules.
//
//   node scripts/build_js.mjs
//
// dist/       index.js and worker.js (bundled), their types, the modules of build/wasm
// build/web/  index.html + chat/, dashboard/, favicon.svg, and lib/, a copy of dist/ that the pages import
//
// Pages import the package by its name, "libbitnet"; here that becomes lib/index.js, which stays a file of
// its own, because it looks for its worker and modules beside itself.
import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import * as esbuild from "esbuild";

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..");
const at = (...parts) => path.join(root, ...parts);

/** The modules of both tiers; a pthread module of an older Emscripten has a third file, .worker.js. */
function wasmModules() {
  const required = ["simd128", "relaxed"].flatMap((tier) => [`bitnet-${tier}`, `bitnet-${tier}-mt`]);
  for (const name of required) {
    for (const file of [`${name}.mjs`, `${name}.wasm`]) {
      if (existsSync(at("build/wasm", file))) continue;
      const preset = name.includes("relaxed") ? "wasm-relaxed" : "wasm";
      const advice = `cmake --preset ${preset} && cmake --build --preset ${preset}`;
      console.error(`build/wasm/${file} is missing. Make it: ${advice}`);
      process.exit(69);
    }
  }
  return readdirSync(at("build/wasm")).filter((file) => /^bitnet-(simd128|relaxed).*\.(mjs|js|wasm)$/.test(file));
}

function typescript(...args) {
  execFileSync(process.execPath, [at("node_modules/typescript/bin/tsc"), ...args], { cwd: root, stdio: "inherit" });
}

const common = {
  bundle: true,
  format: "esm",
  target: "es2022",
  sourcemap: true,
  logLevel: "warning",
  absWorkingDir: root,
};

async function buildPackage(modules) {
  rmSync(at("dist"), { recursive: true, force: true });
  await esbuild.build({
    ...common,
    entryPoints: ["targets/wasm/js/index.ts", "targets/wasm/js/worker.ts"],
    outdir: "dist",
    external: ["./bitnet-*.mjs"],
  });
  typescript("-p", "targets/wasm/js");
  for (const name of ["index", "types", "errors", "storage"]) cpSync(at(`build/types/${name}.d.ts`), at(`dist/${name}.d.ts`));
  for (const file of modules) {
    if (file.endsWith(".wasm")) {
      cpSync(at("build/wasm", file), at("dist", file));
    } else {
      const source = readFileSync(at("build/wasm", file), "utf8");
      writeFileSync(at("dist", file), (await esbuild.transform(source, { minify: true })).code);
    }
  }
}

/** "libbitnet" from build/web/<page>/main.js. */
const packageInLib = {
  name: "package-in-lib",
  setup(build) {
    build.onResolve({ filter: /^libbitnet$/ }, () => ({ path: "../lib/index.js", external: true }));
  },
};

async function buildPages() {
  await esbuild.build({
    ...common,
    minifyWhitespace: true,
    entryPoints: ["web/chat/main.ts", "web/dashboard/main.ts"],
    outbase: "web",
    outdir: "build/web",
    plugins: [packageInLib],
  });
  cpSync(at("web/chat/index.html"), at("build/web/index.html"));
  cpSync(at("web/dashboard/index.html"), at("build/web/dashboard/index.html"));
  for (const file of readdirSync(at("web/shared"))) {
    if (file.endsWith(".svg")) cpSync(at("web/shared", file), at("build/web", file));
  }
  rmSync(at("build/web/lib"), { recursive: true, force: true });
  cpSync(at("dist"), at("build/web/lib"), { recursive: true });
}

const modules = wasmModules();
mkdirSync(at("build"), { recursive: true });
typescript("-p", ".", "--incremental", "--tsBuildInfoFile", "build/tsconfig.tsbuildinfo");
await buildPackage(modules);
await buildPages();
const size = readdirSync(at("dist")).reduce((sum, file) => sum + statSync(at("dist", file)).size, 0);
console.log(`dist: ${(size / 1024).toFixed(0)} KiB; build/web: chat, dashboard, lib`);
