// The console's comforts; every page works without them.
"use strict";

(() => {
  const form = document.getElementById("credentials");
  if (!form) return;

  const body = () => {
    const data = new FormData(form);
    data.set("part", "1");
    return data;
  };

  // Test AD Credentials: each step is shown as it arrives.
  const result = document.getElementById("test-result");
  let running = null;

  async function test() {
    running?.abort();
    running = new AbortController();
    result.setAttribute("aria-busy", "true");
    result.innerHTML = "";
    try {
      const response = await fetch(form.dataset.test, {
        method: "POST", body: body(), signal: running.signal,
      });
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      let text = "";
      for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        text += value;
        result.innerHTML = text;
      }
    } catch (error) {
      if (error.name !== "AbortError") form.requestSubmit(form.querySelector("[data-test-button]"));
    } finally {
      result.setAttribute("aria-busy", "false");
    }
  }

  document.addEventListener("submit", (event) => {
    if (event.target !== form) return;
    const pressed = event.submitter;
    if (pressed?.dataset.testButton !== undefined) {
      event.preventDefault();
      event.stopImmediatePropagation();
      test();
      if (matchMedia("(max-width: 68rem)").matches) result.scrollIntoView({ block: "center" });
    } else if (pressed?.dataset.find) {
      event.preventDefault();
      event.stopImmediatePropagation();
      find(pressed.dataset.find, pressed.formAction);
    }
  }, true);

  // What a search DN is: asked of the directory, said beside the box.
  async function find(name, address) {
    const said = document.getElementById(`f-${name}-found`);
    said.textContent = "…";
    const response = await fetch(address, { method: "POST", body: body() });
    said.innerHTML = await response.text();
  }

  // Suggestions while typing.
  for (const box of form.querySelectorAll("[data-suggest]")) {
    const input = box.querySelector("textarea");
    const list = box.querySelector(".suggestions");
    let waiting = 0;
    let asked = 0;
    input.addEventListener("input", () => {
      clearTimeout(waiting);
      const text = input.value.trim();
      if (text.length < 2 || text.includes("\n")) {
        list.replaceChildren();
        return;
      }
      waiting = setTimeout(async () => {
        const mine = ++asked;
        const data = body();
        data.set("field", box.dataset.field);
        const response = await fetch(box.dataset.suggest, { method: "POST", body: data });
        if (mine === asked && response.ok) list.innerHTML = await response.text();
      }, 300);
    });
    list.addEventListener("click", (event) => {
      const pick = event.target.closest("[data-value]");
      if (!pick) return;
      input.value = pick.dataset.value;
      list.replaceChildren();
      input.focus();
    });
    box.addEventListener("keydown", (event) => {
      const picks = [...list.querySelectorAll("[data-value]")];
      const at = picks.indexOf(document.activeElement);
      if (event.key === "Escape" && picks.length) {
        list.replaceChildren();
        input.focus();
      } else if (event.key === "ArrowDown" && picks.length && (at >= 0 || document.activeElement === input)) {
        event.preventDefault();
        picks[Math.min(at + 1, picks.length - 1)].focus();
      } else if (event.key === "ArrowUp" && at >= 0) {
        event.preventDefault();
        (at === 0 ? input : picks[at - 1]).focus();
      }
    });
  }

  // Encryption decides the usual port, as long as nobody chose another.
  form.addEventListener("change", (event) => {
    const usual = { starttls: "389", ldaps: "636", none: "389" };
    const port = form.elements.port;
    if (event.target.name === "encryption" && ["", "389", "636"].includes(port.value)) {
      port.value = usual[event.target.value];
    }
  });
})();
