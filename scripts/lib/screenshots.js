// Called by scripts/screenshots: takes pictures of a page in a headless Chromium, over its debugging pipe.
//   node screenshots.js CHROMIUM PROFILE URL FILE:WIDTH:LANGUAGE:light|dark[:HEIGHT]...
// Exits with 1 if the page reports an error, breaks its own policy, or is wider than the screen.
"use strict";
const { spawn } = require("node:child_process");
const { writeFileSync } = require("node:fs");

const [chromium, profile, url, ...pictures] = process.argv.slice(2);
const child = spawn(chromium, ["--headless", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu",
  "--hide-scrollbars", "--disable-dev-shm-usage", `--user-data-dir=${profile}`],
  { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] });
const waiting = new Map(), faults = [];
let next = 0, rest = "";

child.stdio[4].setEncoding("utf8").on("data", (data) => {
  const messages = (rest + data).split("\0");
  rest = messages.pop();
  for (const text of messages) {
    const message = JSON.parse(text);
    if (message.id) waiting.get(message.id)(message);
    if (message.method === "Runtime.exceptionThrown") {
      const { exception, text } = message.params.exceptionDetails;
      faults.push((exception && exception.description) || text);
    }
    if (message.method === "Log.entryAdded" && message.params.entry.level === "error") {
      const { source, text } = message.params.entry;
      // A pandad that is away is one of the states to be shown.
      if (source !== "network") faults.push(text);
    }
  }
});
child.on("exit", (status) => {
  if (!done) { console.error(`Chromium ended with ${status}`); process.exit(1); }
});
let done = false;

function call(method, params = {}, sessionId) {
  return new Promise((resolve, reject) => {
    const id = ++next;
    waiting.set(id, (answer) => {
      waiting.delete(id);
      answer.error ? reject(new Error(`${method}: ${answer.error.message}`)) : resolve(answer.result);
    });
    child.stdio[3].write(JSON.stringify({ id, method, params, sessionId }) + "\0");
  });
}
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function picture(session, spec) {
  const [file, width, language, scheme, height] = spec.split(":");
  const to = (method, params) => call(method, params, session);
  const size = (height) => to("Emulation.setDeviceMetricsOverride",
    { width: +width, height, deviceScaleFactor: 1, mobile: +width < 600 });
  const evaluate = async (expression) =>
    (await to("Runtime.evaluate", { expression, returnByValue: true })).result.value;
  await size(900);
  await to("Emulation.setUserAgentOverride", { userAgent: "screenshots", acceptLanguage: language });
  await to("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: scheme }] });
  await to("Page.navigate", { url });
  // Two answers of pandad, so that there is a speed.
  await sleep(5500);
  const [wide, high, language_] = await evaluate(
    "(({ scrollWidth, scrollHeight, lang }) => [scrollWidth, scrollHeight, lang])(document.documentElement)");
  if (wide > +width) faults.push(`${file}: ${wide} pixels wide on a screen of ${width}`);
  if (!language_.startsWith(language.slice(0, 2))) faults.push(`${file}: language ${language_}`);
  const shown = Math.min(high, height ? +height : 20000);
  await size(shown);
  await sleep(300);
  const { data } = await to("Page.captureScreenshot", { format: "png" });
  writeFileSync(file, Buffer.from(data, "base64"));
  console.log(`${file}: ${width} x ${shown}, ${await evaluate("document.title")}`);
}

(async () => {
  const { targetId } = await call("Target.createTarget", { url: "about:blank" });
  const { sessionId } = await call("Target.attachToTarget", { targetId, flatten: true });
  for (const domain of ["Page", "Runtime", "Log"]) await call(`${domain}.enable`, {}, sessionId);
  for (const spec of pictures) await picture(sessionId, spec);
  done = true;
  await call("Browser.close").catch(() => {});
  for (const fault of faults) console.error(fault);
  process.exitCode = faults.length ? 1 : 0;
})().catch((error) => {
  console.error(error);
  done = true;
  child.kill();
  process.exitCode = 1;
});
