/* spark.ts: the last minute of one number as a line the height of a word. */

const WIDTH = 72;
const HEIGHT = 18;
const SVG = "http://www.w3.org/2000/svg";

export class Spark {
  readonly svg = document.createElementNS(SVG, "svg");
  private readonly path = document.createElementNS(SVG, "path");
  private shape = "";

  constructor() {
    this.svg.setAttribute("class", "spark");
    this.svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
    this.svg.setAttribute("aria-hidden", "true"); /* the chart below has the same line, and a table */
    this.svg.append(this.path);
  }

  /** From zero to the largest value; holes are left out. */
  draw(values: readonly (number | null)[]): void {
    const top = Math.max(...values.map((v) => v ?? 0)) || 1;
    let pen = "M";
    let shape = "";
    values.forEach((value, i) => {
      if (value === null) {
        pen = "M";
        return;
      }
      const x = (i / (values.length - 1)) * WIDTH;
      shape += `${pen}${x.toFixed(1)} ${(HEIGHT - 1 - (value / top) * (HEIGHT - 2)).toFixed(1)}`;
      pen = "L";
    });
    if (shape === this.shape) return;
    this.shape = shape;
    this.path.setAttribute("d", shape);
  }
}
