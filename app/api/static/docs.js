// The page: the operations of openapi.json by their tags, each folded under its method and path.

import { copyable, curl, exampleOf } from "./docs-curl.js";
import { code, element, example, folded, paragraphs, words } from "./docs-elements.js";
import { Schemas } from "./docs-schemas.js";

const PROBLEM = "application/problem+json";
const COMMON = ["type", "title", "status", "detail"]; // members of every problem

function heading(text) {
  return element("h4", {}, text);
}

function parameters(schemas, its) {
  if (!its.parameters?.length) return [];
  const list = element("dl");
  for (const each of its.parameters) {
    const mark = each.in + (each.required && each.in !== "path" ? ", required" : "");
    list.append(...schemas.entry(each.name, each.schema, mark, true, each.description));
  }
  return [heading("Parameters"), list];
}

function types(content) {
  return Object.keys(content).flatMap((type, index) => (index ? [" or ", code(type)] : [code(type)]));
}

function request(schemas, { requestBody: its }) {
  if (!its) return [];
  const [{ schema }] = Object.values(its.content);
  const line = element("p", {}, ...types(its.content), ": ", schemas.type(schema), its.required ? "" : ", optional");
  return [heading("Body"), line, ...paragraphs(its.description || ""), ...schemas.body(schema, true), ...examples(schemas, its)];
}

function examples(schemas, its) {
  const value = exampleOf(schemas.spec, its);
  return value === undefined ? [] : [folded("members", ["Example"], () => [example(value)])];
}

function headers(schemas, its) {
  const list = element("dl");
  for (const [name, given] of Object.entries(its.headers || {})) {
    const header = schemas.resolve(given);
    list.append(...schemas.entry(name, header.schema, header.required ? "" : "optional", false, header.description));
  }
  return list.childElementCount ? [folded("members", ["Headers"], () => [list])] : [];
}

function answer(schemas, status, its) {
  const content = its.content || {};
  const title = [element("span", { className: `status s${status[0]}` }, status), " ", ...words(its.description)];
  if (content[PROBLEM]) return folded("answer", title, () => [...problems(schemas, content[PROBLEM]), ...headers(schemas, its)]);
  return folded("answer", title, () => [
    ...Object.entries(content).flatMap(([type, each]) => [
      element("p", {}, code(type), each.itemSchema ? ": a stream of " : ": ", schemas.type(each.schema || each.itemSchema)),
      ...schemas.body(each.schema || each.itemSchema, false),
      ...examples(schemas, { content: { [type]: each } }),
    ]),
    ...headers(schemas, its),
  ]);
}

function problems(schemas, { schema, examples: shown }) {
  const values = Object.values(shown || {}).map((each) => schemas.resolve(each).value);
  return schemas.objects(schema).flatMap((problem) => {
    const type = problem.properties.type.const;
    const further = Object.entries(problem.properties).filter(([name]) => !COMMON.includes(name));
    const members = { properties: Object.fromEntries(further), required: problem.required };
    const value = values.find((each) => each.type === type);
    return [
      element("p", { className: "problem" }, code(type), " ", ...words(problem.description || "")),
      ...(further.length ? schemas.members(members, false) : []),
      ...(value ? [folded("members", ["Example"], () => [example(value)])] : []),
    ];
  });
}

function operation(schemas, method, path, its) {
  const badge = element("span", { className: `method ${method}` }, method.toUpperCase());
  const title = element("h3", {}, badge, " ", code(path), " ", element("span", { className: "does" }, its.summary));
  const id = its.operationId;
  return element("details", { className: "operation", id }, element("summary", {}, title),
    ...paragraphs(its.description || ""),
    ...(its.security?.length === 0 ? [element("p", {}, "No key is needed.")] : []),
    copyable(curl(schemas.spec, method, path, its)),
    ...parameters(schemas, its),
    ...request(schemas, its),
    heading("Answers"),
    ...Object.entries(its.responses).map(([status, each]) => answer(schemas, status, each)),
    element("p", { className: "here" }, "This operation: ", element("a", { href: "#" + id }, id)),
  );
}

function section({ name, description }, operations) {
  const text = paragraphs(description || "");
  return element("section", {}, element("h2", { id: `tag-${name}` }, name), ...text, ...operations);
}

function sections(spec) {
  const schemas = new Schemas(spec);
  const found = new Map((spec.tags || []).map((tag) => [tag.name, { tag, operations: [] }]));
  for (const [path, operations] of Object.entries(spec.paths)) {
    for (const [method, its] of Object.entries(operations)) {
      const [name] = its.tags || ["other"];
      if (!found.has(name)) found.set(name, { tag: { name }, operations: [] });
      found.get(name).operations.push(operation(schemas, method, path, its));
    }
  }
  return [...found.values()].map(({ tag, operations }) => section(tag, operations));
}

// Of an address such as /docs#submitTurn. What is folded cannot be jumped to by itself.
function openTarget() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  target.open = true;
  target.scrollIntoView();
}

async function show() {
  const answer = await fetch("openapi.json");
  if (!answer.ok) throw new Error("openapi.json was answered with " + answer.status);
  const spec = await answer.json();
  document.getElementById("version").textContent = spec.info.version;
  document.getElementById("about").append(...paragraphs(spec.info.description || ""));
  document.getElementById("operations").replaceChildren(...sections(spec));
  addEventListener("hashchange", openTarget);
  openTarget();
}

show().catch((error) => {
  document.getElementById("operations").replaceChildren(element("p", {}, "This cannot be shown: " + error.message));
});
