// webpack.config.js: the package needs nothing in it. The page is written by hand.
export default {
  entry: "./page.js",
  output: { filename: "main.js" },
};
