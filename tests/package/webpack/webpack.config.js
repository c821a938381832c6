// webpack.config.js: the package needs nothing in it. The page is written by hand.
export default {
  entry: "./src/main.js",
  output: { filename: "main.js" },
};
