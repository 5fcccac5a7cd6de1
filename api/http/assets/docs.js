"use strict";
// Shows openapi.json. Everything that comes from it is put in as text, never as markup.

const byId = (id) => document.getElementById(id);

function element(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

function resolve(root, schema, depth) {
  if (schema === null || typeof schema !== "object") {
    return schema;
  }
  if (Array.isArray(schema)) {
    return schema.map((one) => resolve(root, one, depth));
  }
  if (schema.$ref) {
    const name = schema.$ref.split("/").pop();
    return depth > 6 ? { $ref: schema.$ref } : resolve(root, root.components.schemas[name], depth + 1);
  }
  return Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, resolve(root, value, depth)]));
}

function typeOf(schema) {
  const of = schema.items ? schema.items : schema;
  const text = of.enum ? of.enum.join(" | ") : [].concat(of.type || "").join(" | ");
  return schema.items ? `${text} (may be repeated)` : text;
}

function parameterRow(parameter) {
  const input = element("input", { name: parameter.name, "data-in": parameter.in, "aria-label": parameter.name });
  return element("tr", {}, element("td", {}, element("code", {}, parameter.name)), element("td", {}, typeOf(parameter.schema)),
    element("td", {}, parameter.description || ""), element("td", {}, input));
}

async function send(path, method, form, output) {
  let target = path;
  const query = new URLSearchParams();
  for (const input of form.querySelectorAll("input")) {
    if (input.dataset.in === "path") {
      target = target.replace(`{${input.name}}`, encodeURIComponent(input.value));
    } else if (input.value !== "") {
      query.append(input.name, input.value);
    }
  }
  const key = byId("key").value;
  const text = query.toString();
  const url = text === "" ? target : `${target}?${text}`;
  try {
    const answer = await fetch(url, { method, headers: key === "" ? {} : { "X-API-Key": key }, credentials: "omit" });
    const body = await answer.text();
    let shown = body;
    try {
      shown = JSON.stringify(JSON.parse(body), null, 2);
    } catch (problem) {
      shown = body;
    }
    output.textContent = `${method} ${url}\n${answer.status} ${answer.statusText}\nETag: ${answer.headers.get("ETag")}\n\n${shown}`;
  } catch (problem) {
    output.textContent = String(problem);
  }
}

function operation(root, path, method, description) {
  const scopes = (description.security || []).flatMap((one) => Object.values(one).flat());
  const form = element("div", { class: "body" });
  form.append(element("p", {}, `Scope: ${scopes.length > 0 ? [...new Set(scopes)].join(", ") : "none"}`));
  const parameters = description.parameters || [];
  if (parameters.length > 0) {
    form.append(element("table", {}, element("tbody", {}, ...parameters.map(parameterRow))));
  }
  const output = element("pre", { hidden: "" });
  const button = element("button", { type: "button" }, `Send ${method.toUpperCase()}`);
  button.addEventListener("click", () => {
    output.hidden = false;
    output.textContent = "…";
    send(path, method.toUpperCase(), form, output);
  });
  form.append(button, output);
  const good = Object.entries(description.responses).find(([status]) => status !== "default");
  const content = good && good[1].content && good[1].content["application/json"];
  if (content) {
    form.append(element("p", {}, `Answer ${good[0]}:`),
      element("pre", {}, JSON.stringify(resolve(root, content.schema, 0), null, 2)));
  }
  const shown = element("details", { "data-text": `${path} ${description.summary}`.toLowerCase() },
    element("summary", {}, element("b", { class: `method ${method}` }, method.toUpperCase()), element("code", {}, path),
      element("span", {}, description.summary)), form);
  return shown;
}

async function show() {
  const answer = await fetch("/openapi.json", { credentials: "omit" });
  const root = await answer.json();
  byId("about").textContent = `${root.info.title} ${root.info.version}: ${root.info.summary}. `;
  byId("about").append(element("a", { href: "/openapi.json" }, "openapi.json"));
  for (const [path, operations] of Object.entries(root.paths)) {
    for (const [method, description] of Object.entries(operations)) {
      byId("operations").append(operation(root, path, method, description));
    }
  }
  byId("filter").addEventListener("input", (event) => {
    for (const one of byId("operations").children) {
      one.hidden = !one.dataset.text.includes(event.target.value.toLowerCase());
    }
  });
}

show().catch((problem) => {
  byId("about").textContent = `openapi.json cannot be shown: ${problem}`;
});
