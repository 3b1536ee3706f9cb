// Elements without markup: texts of peers are set as text, so they can never become markup.

/** Make an element. `properties` are attributes, or listeners where the value is a function. */
export function element(tag, properties = {}, ...children) {
  return dress(document.createElement(tag), properties, children);
}

/** Make an element of SVG. */
export function shape(tag, properties = {}, ...children) {
  return dress(document.createElementNS("http://www.w3.org/2000/svg", tag), properties, children);
}

function dress(made, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (typeof value === "function") made.addEventListener(name, value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

export const at = (id) => document.getElementById(id);

/** Set the text of an element, if it is another one: what stays the same costs no layout and no announcement. */
export function setText(item, text) {
  if (item.textContent !== text) item.textContent = text;
}

/** Set or remove an attribute, if that changes it. */
export function setAttribute(item, name, value) {
  if (value === null || value === false) {
    if (item.hasAttribute(name)) item.removeAttribute(name);
  } else if (item.getAttribute(name) !== String(value)) item.setAttribute(name, value);
}

export function setHidden(item, hidden) {
  if (item.hidden !== hidden) item.hidden = hidden;
}

/**
 * Show a list in a container: one child for each item, known by its key. `make` returns a child with a method `show`,
 * which puts the item's values into it. Children keep their places while `held` says so: a row that somebody points at
 * does not run away; new ones come last then.
 */
export class KeyedList {
  #children = new Map();

  constructor(container, key, make) {
    this.container = container;
    this.key = key;
    this.make = make;
  }

  show(items, held = false) {
    const shown = new Set();
    for (const item of items) {
      const key = this.key(item);
      shown.add(key);
      const old = this.#children.get(key), child = old ?? this.make(item);
      child.show(item);
      if (old) continue;
      this.#children.set(key, child);
      this.container.append(child.element);
    }
    for (const [key, child] of this.#children) {
      if (shown.has(key)) continue;
      child.element.remove();
      this.#children.delete(key);
    }
    if (!held) this.#order(items);
  }

  #order(items) {
    let place = this.container.firstElementChild;
    for (const item of items) {
      const { element } = this.#children.get(this.key(item));
      if (element === place) place = place.nextElementSibling;
      else this.container.insertBefore(element, place);
    }
  }
}
