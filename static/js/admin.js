// Head office: suggestions in filters, copy buttons, one click is one act. Everything works without it.

const WAIT = 150;

for (const input of document.querySelectorAll("input[data-suggest]")) {
  let timer = 0;
  let asked = "";
  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(async () => {
      const term = input.value.trim();
      if (term.length < 2 || term === asked) return;
      asked = term;
      const answer = await fetch(`${input.dataset.suggest}&term=${encodeURIComponent(term)}`).catch(() => null);
      if (!answer?.ok || term !== asked) return;
      const { results } = await answer.json();
      input.list.replaceChildren(...results.map(({ code, text }) => new Option(text, code)));
    }, WAIT);
  });
}

for (const button of document.querySelectorAll("[data-copy]")) {
  const field = document.getElementById(button.dataset.copy);
  button.hidden = !navigator.clipboard;
  button.addEventListener("click", async () => {
    field.select();
    await navigator.clipboard.writeText(field.value);
    button.textContent = button.dataset.copied;
  });
}

for (const form of document.querySelectorAll("form[data-once]")) {
  form.addEventListener("submit", () => form.querySelector("button:not([type=button])")?.setAttribute("aria-disabled", "true"));
}

// On a desk the menu of lists and the filters stand open: by CSS where the browser knows how, else here.
if (!CSS.supports("selector(::details-content)") && matchMedia("(min-width: 62rem)").matches) {
  for (const fold of document.querySelectorAll("[data-rail], [data-sieve]")) fold.open = true;
}

for (const menu of document.querySelectorAll("details[data-menu]")) {
  document.addEventListener("click", (event) => menu.contains(event.target) || menu.removeAttribute("open"));
  menu.addEventListener("keydown", (event) => event.key === "Escape" && menu.removeAttribute("open"));
}
