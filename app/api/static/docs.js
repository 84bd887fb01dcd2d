"use strict";

// Everything from the document is put in as text, never as markup.
function element(name, text, ...children) {
  const made = document.createElement(name);
  if (text) made.textContent = text;
  made.append(...children);
  return made;
}

function resolve(spec, schema) {
  const path = schema && schema.$ref;
  return path ? path.slice(2).split("/").reduce((value, key) => value[key], spec) : schema;
}

function rows(head, lines) {
  const table = element("table", "", element("tr", "", ...head.map((text) => element("th", text))));
  for (const line of lines) table.append(element("tr", "", ...line.map((text) => element("td", text))));
  return table;
}

function body(spec, request) {
  const [type, content] = Object.entries(request.content)[0];
  const schema = resolve(spec, content.schema);
  const required = schema.required || [];
  const lines = Object.entries(schema.properties || {}).map(([name, its]) => [
    name,
    required.includes(name) ? "required" : its.default === undefined ? "" : "default " + JSON.stringify(its.default),
    its.description || "",
  ]);
  return element("div", "", element("p", "Body: " + type), rows(["Member", "", ""], lines));
}

function operation(spec, method, path, its) {
  const title = element("summary", "", element("span", method.toUpperCase()), element("code", path), ": " + its.summary);
  title.firstChild.className = "method";
  const shown = element("details", "", title, element("p", its.description || ""));
  const parameters = (its.parameters || []).map((its) => [its.name, its.in, its.description || ""]);
  if (parameters.length) shown.append(rows(["Parameter", "In", ""], parameters));
  if (its.requestBody) shown.append(body(spec, its.requestBody));
  const answers = Object.entries(its.responses).map(([status, answer]) => [status, answer.description]);
  shown.append(rows(["Status", "Answer"], answers));
  return shown;
}

async function show() {
  const place = document.getElementById("operations");
  const answer = await fetch("openapi.json");
  if (!answer.ok) throw new Error("openapi.json was answered with " + answer.status);
  const spec = await answer.json();
  document.getElementById("version").textContent = spec.info.version;
  place.replaceChildren();
  const sections = new Map();
  for (const [path, operations] of Object.entries(spec.paths)) {
    for (const [method, its] of Object.entries(operations)) {
      const tag = (its.tags || ["other"])[0];
      if (!sections.has(tag)) sections.set(tag, element("section", "", element("h2", tag)));
      sections.get(tag).append(operation(spec, method, path, its));
    }
  }
  place.append(...sections.values());
}

show().catch((error) => {
  document.getElementById("operations").replaceChildren(element("p", "This cannot be shown: " + error.message));
});
