// build_js.mjs: the npm package (dist/) and the pages (build/web/), from TypeScript and the wasm modules.
//
//   node scripts/build_js.mjs
//
// dist/       index.js, worker.js, openai.js, tracker.js (each bundled), their types, the modules of build/wasm
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
const TIERS = ["c", "simd128", "relaxed"];

/** The modules of all tiers; a pthread module of an older Emscripten has a third file, .worker.js. */
function wasmModules() {
  const required = TIERS.flatMap((tier) => [`bitnet-${tier}`, `bitnet-${tier}-mt`]);
  for (const name of required) {
    for (const file of [`${name}.mjs`, `${name}.wasm`]) {
      if (existsSync(at("build/wasm", file))) continue;
      const preset = { c: "wasm-c", simd128: "wasm", relaxed: "wasm-relaxed" }[name.split("-")[1]];
      const advice = `cmake --preset ${preset} && cmake --build --preset ${preset}`;
      console.error(`build/wasm/${file} is missing. Make it: ${advice}`);
      process.exit(69);
    }
  }
  return readdirSync(at("build/wasm")).filter((file) => /^bitnet-(c|simd128|relaxed)\b.*\.(mjs|js|wasm)$/.test(file));
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

/** The module without names, producers and the like, which no engine needs: a tenth of the download. Only here,
 * because the linker wants them and stack traces of tests are better with them. */
function withoutCustomSections(module) {
  const kept = [module.subarray(0, 8)];
  for (let start = 8; start < module.length; ) {
    let at = start + 1;
    let size = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = module[at++];
      size += (byte & 127) * 2 ** shift;
      if (byte < 128) break;
    }
    if (module[start] !== 0) kept.push(module.subarray(start, at + size));
    start = at + size;
  }
  return Buffer.concat(kept);
}

/** What package.json exports: a bundle and its types each. */
const ENTRIES = ["index", "worker", "openai", "tracker"];

async function buildPackage(modules) {
  rmSync(at("dist"), { recursive: true, force: true });
  await esbuild.build({
    ...common,
    entryPoints: ENTRIES.map((name) => `targets/wasm/js/${name}.ts`),
    outdir: "dist",
    external: ["./bitnet-*.mjs"],
  });
  typescript("-p", "targets/wasm/js");
  for (const name of [...ENTRIES, "types", "errors", "metrics.gen", "storage"]) {
    cpSync(at(`build/types/${name}.d.ts`), at(`dist/${name}.d.ts`));
  }
  for (const file of modules) {
    if (file.endsWith(".wasm")) {
      writeFileSync(at("dist", file), withoutCustomSections(readFileSync(at("build/wasm", file))));
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
    minify: true,
    entryPoints: ["web/chat/main.ts", "web/dashboard/main.ts", "web/dashboard/trace_worker.ts"],
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
