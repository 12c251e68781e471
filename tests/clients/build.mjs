// Bundles each agent with its client into one file: node build.mjs FOLDER
import { readdirSync } from "node:fs";
import { build } from "esbuild";

const entries = readdirSync(new URL("agents/", import.meta.url)).filter((name) => name !== "work.mjs");
await build({
  absWorkingDir: import.meta.dirname,
  entryPoints: entries.map((name) => `agents/${name}`),
  outdir: process.argv[2],
  outExtension: { ".js": ".mjs" },
  bundle: true,
  platform: "node",
  target: "node22",
  format: "esm",
  logLevel: "warning",
  // Some of the packages are CommonJS and ask for modules of Node by require.
  banner: { js: 'import { createRequire as requireFrom } from "node:module"; const require = requireFrom(import.meta.url);' },
});
