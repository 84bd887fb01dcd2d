// What the page is made of. Everything from the document is put in as text, never as markup.

export function element(name, attributes = {}, ...children) {
  const made = Object.assign(document.createElement(name), attributes);
  made.append(...children);
  return made;
}

export function code(text, attributes = {}) {
  return element("code", attributes, text);
}

// A line of a description: what is between backticks is code.
export function words(text) {
  const parts = text.split(/(`[^`]+`)/).filter(Boolean);
  return parts.map((part) => (/^`.+`$/s.test(part) ? code(part.slice(1, -1)) : part));
}

export function paragraphs(text) {
  return text.split(/\n\s*\n/).filter((part) => part.trim()).map((part) => element("p", {}, ...words(part)));
}

// `fill` gives the content when it is first opened: schemas contain one another, and few are looked at.
export function folded(className, title, fill) {
  const made = element("details", { className }, element("summary", {}, ...title));
  const show = () => made.append(...fill());
  made.addEventListener("toggle", show, { once: true });
  return made;
}

export function example(value) {
  return element("pre", {}, code(typeof value === "string" ? value : JSON.stringify(value, null, 2)));
}
