/* hidden_tab.mjs: a tab that is really hidden. Playwright tells every page that it is looked at, so this speaks to
 * Chromium itself (Chrome DevTools Protocol, JSON between zeros on two pipes).
 */
import { spawn } from "node:child_process";
import { CHROMIUM, CHROMIUM_ARGS, temporaryFolder } from "./helpers.mjs";

export class Tabs {
  #pending = new Map();
  #lastId = 0;

  static async open(t) {
    const profile = await temporaryFolder(t);
    const args = ["--headless", ...CHROMIUM_ARGS, "--remote-debugging-pipe", `--user-data-dir=${profile}`];
    const child = spawn(CHROMIUM, args, { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] });
    const exited = new Promise((resolve) => child.once("close", resolve));
    const tabs = new Tabs(child);
    t.after(() => {
      void tabs.send("Browser.close"); /* the executable may be a script around it, which a signal would end alone */
      return exited;
    });
    return tabs;
  }

  constructor({ stdio: [, , , to, from] }) {
    this.to = to;
    let text = "";
    from.setEncoding("utf8").on("data", (part) => {
      const messages = (text + part).split("\0");
      text = messages.pop();
      for (const message of messages) this.#receive(JSON.parse(message));
    });
  }

  #receive({ id, result, error }) {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    if (error) pending?.reject(new Error(error.message));
    else pending?.resolve(result);
  }

  send(method, params = {}, sessionId = undefined) {
    const id = ++this.#lastId;
    this.to.write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    return new Promise((resolve, reject) => this.#pending.set(id, { resolve, reject }));
  }

  /** A new tab, in front of the others, loaded: `run` an expression in it, `freeze` it, `wake` it. */
  async tab(url) {
    const { targetId } = await this.send("Target.createTarget", { url });
    await this.send("Target.activateTarget", { targetId });
    const { sessionId } = await this.send("Target.attachToTarget", { targetId, flatten: true });
    const setState = (state) => this.send("Page.setWebLifecycleState", { state }, sessionId);
    const run = async (expression) => {
      const how = { expression, awaitPromise: true, returnByValue: true };
      const { result, exceptionDetails } = await this.send("Runtime.evaluate", how, sessionId);
      if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
      return result.value;
    };
    const isLoaded = `location.href === ${JSON.stringify(url)} && document.readyState === "complete"`;
    const hasPage = () => run(isLoaded).catch(() => false); /* between two pages there is nothing to run it in */
    while (!(await hasPage())) await new Promise((resolve) => setTimeout(resolve, 20));
    return { run, freeze: () => setState("frozen"), wake: () => setState("active") };
  }
}
