// Builds segsearch/figures/plotly.min.js: only the traces that segsearch draws, so that a browser has a third to read.
// The "strict" traces bring their WebGL commands compiled, where the others compile them in the page (`unsafe-eval`).
//
//     cd tools/plotly && npm install && npm run build
import { createRequire } from "node:module";
import { copyFileSync, rmSync, writeFileSync } from "node:fs";
import { build } from "esbuild";
import { environmentPlugin } from "esbuild-plugin-environment";
import { glsl } from "esbuild-plugin-glsl";

const require = createRequire(import.meta.url);
const inlineCss = require("esbuild-plugin-inline-css");
const { version } = require("plotly.js/package.json");
const traces = ["lib/bar", "lib/heatmap", "src/traces/scattergl/strict", "src/traces/parcoords/strict"];
const root = new URL("../../segsearch/", import.meta.url).pathname;

const list = traces.map((trace) => `require("./node_modules/plotly.js/${trace}")`).join(", ");
writeFileSync("entry.cjs", `const core = require("./node_modules/plotly.js/lib/core");
core.register([${list}]);
module.exports = core;
`);
await build({
  entryPoints: ["entry.cjs"],
  outfile: `${root}figures/plotly.min.js`,
  bundle: true,
  minify: true,
  format: "iife",
  globalName: "Plotly",
  target: "es2020",
  plugins: [(inlineCss.default ?? inlineCss)(), glsl({ minify: true }), environmentPlugin({ NODE_DEBUG: false })],
  alias: { regl: "@plotly/regl", stream: "stream-browserify" },
  define: { global: "window", "define.amd": "false" },
  legalComments: "eof",
  banner: { js: `/*! plotly.js ${version}, Copyright 2012-2026, Plotly, Inc., MIT licence. Traces: scatter, scattergl, bar, heatmap, parcoords; built by tools/plotly/build.mjs */` },
});
rmSync("entry.cjs");
copyFileSync(require.resolve("plotly.js/package.json").replace("package.json", "LICENSE"), `${root}figures/plotly.LICENSE`);
copyFileSync(require.resolve("regenerator-runtime/runtime.js"), `${root}dashboard/assets/regenerator.js`);
