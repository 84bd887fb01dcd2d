// The line that does an operation, with the document's own examples in it.

import { code, element } from "./docs-elements.js";

export function curl(spec, method, path, its) {
  const address = location.href.replace(/\/[^/]*$/, "") + filled(spec, path);
  const sent = its.requestBody ? exampleOf(spec, its.requestBody) : undefined;
  const streams = Object.keys((its.responses["200"] || {}).content || {})[0] === "text/event-stream";
  const usual = sent === undefined ? "get" : "post";
  return [
    "curl", streams ? "-N" : "-s",
    ...(method === usual ? [] : ["-X", method.toUpperCase()]),
    ...(sent === undefined ? [] : ["--json", quoted(JSON.stringify(sent))]),
    address,
  ].join(" ");
}

export function copyable(line) {
  const text = code(line);
  const button = element("button", { type: "button" }, "Copy");
  button.addEventListener("click", async () => {
    button.textContent = (await copied(line, text)) ? "Copied" : "Selected";
  });
  return element("div", { className: "command" }, element("pre", {}, text), button);
}

// A page that came over plain HTTP from another machine has no clipboard: then the line is selected.
async function copied(line, text) {
  try {
    await navigator.clipboard.writeText(line);
    return true;
  } catch {
    getSelection().selectAllChildren(text);
    return false;
  }
}

function filled(spec, path) {
  const value = (name) => (spec.components.examples[name] || { value: {} }).value;
  const known = { name: value("agent").name, id: value("turn-queued").id, tool: value("tool").name };
  return path.replace(/\{(\w+)\}/g, (whole, name) => known[name] || whole);
}

export function exampleOf(spec, { content }) {
  const [first] = Object.values(Object.values(content || {})[0]?.examples || {});
  if (!first) return undefined;
  return (first.$ref ? spec.components.examples[first.$ref.split("/").at(-1)] : first).value;
}

function quoted(text) {
  return "'" + text.replaceAll("'", "'\\''") + "'";
}
