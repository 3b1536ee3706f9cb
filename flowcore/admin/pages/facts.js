// Names and values of a call.

import { element, KeyedList, setAttribute, setText } from "./dom.js";

/** Shows a list of `[name, value, kind]` in an element `dl`. */
export class Facts {
  constructor(list) {
    this.list = new KeyedList(list, ([name]) => name, () => {
      const title = element("dt"), value = element("dd");
      return {
        element: element("div", {}, title, value),
        show([name, text, kind = ""]) {
          setText(title, name);
          setText(value, text);
          setAttribute(value, "class", kind || null);
        },
      };
    });
  }

  show(facts) {
    this.list.show(facts);
  }
}
