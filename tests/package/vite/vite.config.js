// vite.config.js: all that the package needs; docs/embedding.md says why.
export default {
  base: "./",
  worker: { format: "es" },
  optimizeDeps: { exclude: ["libbitnet"] },
};
