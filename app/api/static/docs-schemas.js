// JSON schemas as people read them: a type, what holds for it, the members of objects.

import { code, element, folded, paragraphs, words } from "./docs-elements.js";

const BOUNDS = { minimum: "≥", exclusiveMinimum: ">", maximum: "≤", exclusiveMaximum: "<" };
const SIZES = [["minLength", "maxLength", "character"], ["minItems", "maxItems", "item"], ["minProperties", "maxProperties", "member"]];

export class Schemas {
  constructor(spec) {
    this.spec = spec;
  }

  // What a reference leads to, with its name; anything else as it is.
  resolve(given) {
    if (!given.$ref) return given;
    const path = given.$ref.slice(2).split("/");
    return { name: path.at(-1), ...path.reduce((value, key) => value[key], this.spec) };
  }

  type(given) {
    const schema = this.resolve(given);
    const choices = schema.anyOf || schema.oneOf;
    if (choices) return schema.name || choices.map((choice) => this.type(choice)).join(" or ");
    if (schema.type === "array") return "array of " + this.inner(schema.items || {});
    if (schema.type === "object") return schema.properties ? schema.name || "object" : this.map(schema);
    if (schema.contentSchema) return "JSON text of " + this.type(schema.contentSchema);
    const type = schema.type || (schema.const === undefined ? "any JSON" : typeof schema.const);
    return schema.format ? `${type} (${schema.format})` : type;
  }

  map(schema) {
    const values = schema.additionalProperties;
    return typeof values === "object" && Object.keys(values).length ? "object of " + this.inner(values) : "object";
  }

  inner(given) {
    const type = this.type(given);
    return type.includes(" or ") ? `(${type})` : type;
  }

  // What holds for a value besides its type, each as a list of nodes.
  facts(given) {
    const schema = this.resolve(given);
    const found = [];
    if (schema.enum) found.push([schema.enum.length > 1 ? "one of " : "only ", ...separated(schema.enum)]);
    if (schema.const !== undefined) found.push(["always ", code(shown(schema.const))]);
    for (const [name, sign] of Object.entries(BOUNDS)) if (name in schema) found.push([`${sign} ${number(schema[name])}`]);
    for (const [least, most, unit] of SIZES) {
      const size = range(schema[least], schema[most], unit);
      if (size) found.push([size]);
    }
    if (schema.pattern) found.push(["pattern ", code(schema.pattern)]);
    if (schema.default !== undefined && schema.default !== null) found.push(["default ", code(shown(schema.default))]);
    if (schema.examples) found.push(["such as ", ...separated(schema.examples.map(shown))]);
    return [...found, ...this.innerFacts(schema)];
  }

  innerFacts(schema) {
    const choices = (schema.anyOf || []).flatMap((choice) => this.facts(choice));
    const parts = [["each: ", schema.items], ["names: ", schema.propertyNames], ["each: ", schema.additionalProperties]];
    const inner = parts.flatMap(([label, part]) => {
      const facts = part && typeof part === "object" ? this.facts(part) : [];
      return facts.map((fact) => [label, ...fact]);
    });
    return [...choices, ...inner];
  }

  // The objects with members of their own that a value is, or has in it.
  objects(given) {
    const schema = this.resolve(given);
    if (schema.properties) return [schema];
    const parts = [...(schema.anyOf || schema.oneOf || []), schema.items, schema.additionalProperties, schema.contentSchema];
    return parts.filter((part) => part && typeof part === "object").flatMap((part) => this.objects(part));
  }

  // All about a body: its members, or what else it is. `sent`: by the client.
  body(given, sent) {
    const schema = this.resolve(given);
    if (schema.properties) return [...paragraphs(schema.description || ""), ...this.members(schema, sent)];
    return [...factLines(this.facts(given)), ...paragraphs(schema.description || ""), ...this.nested(given, sent)];
  }

  members(schema, sent) {
    const required = schema.required || [];
    const list = element("dl");
    for (const [name, its] of Object.entries(schema.properties)) {
      const needed = required.includes(name);
      list.append(...this.entry(name, its, sent === needed ? (sent ? "required" : "optional") : "", sent));
    }
    const apart = schema.not && schema.not.required;
    return apart ? [list, element("p", {}, "Not together: ", ...separated(apart), ".")] : [list];
  }

  // One member or parameter: its name and type, and below what there is to say.
  entry(name, schema, mark, sent, description = schema.description) {
    const type = element("span", { className: "type" }, this.type(schema));
    const term = element("dt", {}, code(name), " ", type);
    if (mark) term.append(" ", element("span", { className: "mark" }, mark));
    const text = description ? [element("p", {}, ...words(description))] : [];
    return [term, element("dd", {}, ...text, ...factLines(this.facts(schema)), ...this.nested(schema, sent))];
  }

  nested(given, sent) {
    return this.objects(given).map((schema) => {
      const { type, event } = schema.properties;
      const kind = (type && type.const) || (event && event.const);
      const title = [code(kind || schema.name || "object"), " ", ...words(kind || !schema.description ? "" : schema.description)];
      return folded("members", title, () => [...paragraphs(kind && schema.description || ""), ...this.members(schema, sent)]);
    });
  }
}

function factLines(facts) {
  return facts.length ? [element("ul", { className: "facts" }, ...facts.map((fact) => element("li", {}, ...fact)))] : [];
}

function separated(values) {
  return values.flatMap((value, index) => (index ? [", ", code(value)] : [code(value)]));
}

function shown(value) {
  return typeof value === "string" ? value || '""' : JSON.stringify(value);
}

function number(value) {
  return value.toLocaleString("en");
}

function range(least, most, unit) {
  const units = (count) => `${number(count)} ${unit}${count === 1 ? "" : "s"}`;
  if (least && most) return least === most ? units(least) : `${number(least)} to ${units(most)}`;
  if (most !== undefined) return `at most ${units(most)}`;
  return least ? `at least ${units(least)}` : "";
}
