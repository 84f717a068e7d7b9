// Line entry: scanners and Enter, suggestions, rows, running totals. Without this file the form does the same by posting.
const form = document.querySelector("[data-lines]");
const rows = form.querySelector("[data-rows]");
const total = form.querySelector("[data-total]");
const template = form.querySelector("template[data-row]");
const counter = form.querySelector("[name$=-TOTAL_FORMS]");
const sells = form.dataset.mode === "sell";
const lines = () => [...rows.querySelectorAll("[data-line]")];
const part = (line, name) => line.querySelector(`[data-${name}]`);
const box = (line, name) => line.querySelector(`[name$="-${name}"]`);

// -- Numbers: digits of any script, exact to the paisa -----------------------------------------------------------
const number = (text) => {
  const western = (text || "").trim()
    .replace(/[٠-٩۰-۹０-９]/g, (digit) => String(digit.charCodeAt(0) & 15))
    .replace("٫", ".").replace(/^(\d+),(\d{1,2})$/, "$1.$2");
  return /^\d+(\.\d+)?$/.test(western) ? Number(western) : NaN;
};
// Half up in whole numbers: thousandths of goods times paisa.
const paisa = (quantity, price) => Math.floor((Math.round(quantity * 1000) * Math.round(price * 100) + 500) / 1000);
const rupees = (sum) => {
  const whole = Math.trunc(sum / 100).toString().replace(/\B(?=(\d{3})+$)/g, ",");
  return "Rs " + whole + (sum % 100 ? "." + String(sum % 100).padStart(2, "0") : "");
};
// Numbers stand in a box of their own, so that Urdu around them does not turn them about.
const isolated = (text) => {
  const own = document.createElement("bdi");
  own.dir = "ltr";
  own.textContent = text;
  return own;
};
const show = (place, text) => place.replaceChildren(isolated(text));
const price = (hit) => rupees(Math.round(Number(hit.price) * 100));

function lineTotal(line) {
  const product = part(line, "product");
  if (!product || !product.dataset.price) return null;
  const amount = number(box(line, "amount")?.value);
  if (amount > 0) return Math.round(amount * 100);
  const quantity = number(box(line, "quantity")?.value);
  if (!(quantity > 0)) return null;
  const own = number(box(line, "price")?.value);
  return paisa(quantity * Number(product.dataset.units || 1), Number.isNaN(own) ? Number(product.dataset.price) : own);
}

function addUp() {
  if (!total) return;
  let sum = 0;
  for (const line of lines()) {
    const part_ = lineTotal(line), place = line.querySelector("[data-line-total]");
    if (part_ === null) place.replaceChildren(); else show(place, rupees(part_));
    sum += part_ || 0;
  }
  show(total, rupees(sum));
}

// -- Rows --------------------------------------------------------------------------------------------------------
function addRow() {
  const made = document.createElement("template");
  made.innerHTML = template.innerHTML.replaceAll("__prefix__", counter.value);
  const line = made.content.firstElementChild;
  counter.value = Number(counter.value) + 1;
  rows.append(line);
  dress(line);
  return line;
}
const isBlank = (line) => !box(line, "item").value.trim() && !box(line, "quantity").value.trim();
// The line that takes the next item, always below what is written; emptied lines are used again.
function blankRow() {
  const line = lines().find((other) => isBlank(other)) || addRow();
  if (line.hidden || line.nextElementSibling) rows.append(line);
  line.hidden = false;
  return line;
}
// One empty line is enough to look at.
function tidy() {
  const free = lines().filter((line) => isBlank(line) && !line.contains(document.activeElement));
  const seen = lines().some((line) => isBlank(line) && line.contains(document.activeElement));
  free.slice(seen ? 0 : 1).forEach((line) => { line.hidden = true; rows.append(line); });
}

function empty(line) {
  line.querySelectorAll("input:not([type=hidden])").forEach((input) => { input.value = ""; input.removeAttribute("aria-invalid"); });
  line.querySelectorAll(".error, .line-choice").forEach((old) => old.remove());
  forget(line);
}
function forget(line) {
  const product = part(line, "product"), asked = part(line, "asked");
  if (!product) return;
  product.value = asked.value = "";
  delete product.dataset.price;
  delete product.dataset.units;
  part(line, "note").replaceChildren();
  line.classList.remove("line-short");
}

// -- What a text means ---------------------------------------------------------------------------------------------
let asking = 0;
async function find(text) {
  const answer = await fetch(`${form.dataset.find}?q=${encodeURIComponent(text)}`, { redirect: "error", headers: { Accept: "application/json" } });
  if (!answer.ok) throw new Error(answer.status);
  return answer.json();
}

function take(line, hit, answer, text) {
  line.querySelectorAll(".line-choice, .error").forEach((old) => old.remove());
  const item = box(line, "item"), product = part(line, "product"), quantity = box(line, "quantity"), packs = box(line, "pack");
  item.value = text;
  item.removeAttribute("aria-invalid");
  product.value = hit.sku;
  part(line, "asked").value = text;
  product.dataset.price = hit.price;
  product.dataset.units = packs ? "1" : answer.units || "1";
  quantity.inputMode = hit.whole ? "numeric" : "decimal";
  if (box(line, "price")) box(line, "price").placeholder = hit.price;
  if (packs) {
    packs.replaceChildren(new Option(hit.unit, "unit"), ...hit.packs.map((pack) => new Option(pack.name, pack.id)));
    if (answer.pack) packs.value = answer.pack;
  }
  if (!quantity.value) quantity.value = answer.quantity || (hit.whole && sells ? "1" : "");
  const name = document.createElement("span"), about = document.createElement("span");
  name.className = "line-name";
  name.dir = "auto";
  name.textContent = hit.name;
  if (sells) about.append(isolated(price(hit)), `/${hit.unit} · `);
  about.append(isolated(hit.on_hand), ` ${hit.unit} ${form.dataset.stock}`);
  part(line, "note").replaceChildren(name, about);
  addUp();
}

// Scanners do not wait: the next line has the cursor before the answer is here. A scan of what is on the list counts one more.
const waiting = new Set();
function enter(line) {
  const item = box(line, "item"), text = item.value.trim().replace(/\s+/g, " ");
  closeSuggestions(line);
  if (!text) return;
  reach(box(blankRow(), "item"));
  const turn = find(text).then((answer) => { if (item.value.trim().replace(/\s+/g, " ") === text) answered(line, answer, text); },
    () => form.requestSubmit(form.querySelector("[data-default]"))).finally(() => waiting.delete(turn));
  waiting.add(turn);
}
// Whether the cursor may be moved: nobody is writing.
const atRest = () => !document.activeElement.matches("[data-item]") || !document.activeElement.value;

function answered(line, answer, text) {
  const [hit] = answer.results;
  if (!hit) return unknown(line);
  if (!answer.exact && answer.results.length > 1) {
    if (atRest()) reach(box(line, "item"));
    return suggest(line, answer);
  }
  const twin = sells && answer.exact && !answer.quantity && hit.whole && lines().find((other) => other !== line
    && part(other, "product")?.value === hit.sku && part(other, "product").dataset.units === (answer.units || "1"));
  if (twin && number(box(twin, "quantity").value) > 0) {
    box(twin, "quantity").value = number(box(twin, "quantity").value) + 1;
    empty(line);
    tidy();
    return addUp();
  }
  take(line, hit, answer, text);
  if ((!box(line, "quantity").value || !sells) && atRest()) { reach(box(line, "quantity")); box(line, "quantity").select(); }
}

// The whole line is brought into sight, not only its box.
function reach(field) {
  field.focus({ preventScroll: true });
  field.closest("[data-line]").scrollIntoView({ block: "nearest" });
}

function unknown(line) {
  forget(line);
  const error = document.createElement("p");
  error.className = "error";
  error.setAttribute("role", "alert");
  error.textContent = form.dataset.unknown;
  line.querySelectorAll(".error").forEach((old) => old.remove());
  line.append(error);
  box(line, "item").setAttribute("aria-invalid", "true");
  if (atRest()) { reach(box(line, "item")); box(line, "item").select(); }
  navigator.vibrate?.([80, 60, 80]);
}

// -- Suggestions: a list box under the field -------------------------------------------------------------------------
function closeSuggestions(line) {
  line.querySelector(".suggest")?.remove();
  const item = box(line, "item");
  item.setAttribute("aria-expanded", "false");
  item.removeAttribute("aria-activedescendant");
}
function suggest(line, answer) {
  closeSuggestions(line);
  const item = box(line, "item"), list = document.createElement("ul");
  if (!answer.results.length || document.activeElement !== item) return;
  list.className = "suggest";
  list.role = "listbox";
  list.id = item.id + "_hits";
  answer.results.forEach((hit, place) => {
    const option = document.createElement("li"), name = document.createElement("span"), cost = document.createElement("span");
    option.role = "option";
    option.id = `${list.id}_${place}`;
    name.dir = "auto";
    name.textContent = hit.name;
    cost.className = "muted no-break";
    show(cost, price(hit));
    option.append(name, cost);
    option.addEventListener("pointerdown", (event) => event.preventDefault());
    option.addEventListener("click", () => choose(line, hit));
    list.append(option);
  });
  line.querySelector(".line-item").append(list);
  list.hits = answer.results;
  fit(list);
  item.setAttribute("aria-controls", list.id);
  item.setAttribute("aria-expanded", "true");
}
// The list opens where there is more room between the bars, and is no longer than that room.
function fit(list) {
  const place = list.parentElement.getBoundingClientRect(), top = document.querySelector(".top"), bar = form.querySelector(".bar");
  const stays = (part_) => getComputedStyle(part_).position === "sticky";
  const above = place.top - (stays(top) ? top.getBoundingClientRect().bottom : 0) - 8;
  const below = (stays(bar) ? bar.getBoundingClientRect().top : innerHeight) - place.bottom - 8;
  const up = below < Math.min(list.scrollHeight, 240) && above > below;
  list.classList.toggle("suggest-up", up);
  list.style.maxBlockSize = `${Math.max(120, Math.min(320, up ? above : below))}px`;
}
function choose(line, hit) {
  closeSuggestions(line);
  take(line, hit, {}, hit.name);
  const quantity = box(line, "quantity");
  quantity.focus();
  quantity.select();
}
function move(line, step) {
  const list = line.querySelector(".suggest");
  if (!list) return false;
  const options = [...list.children], now = options.findIndex((option) => option.ariaSelected === "true");
  const next = options[(now + step + options.length + (now < 0 && step < 0 ? 1 : 0)) % options.length];
  options.forEach((option) => { option.ariaSelected = String(option === next); });
  next.scrollIntoView({ block: "nearest" });
  box(line, "item").setAttribute("aria-activedescendant", next.id);
  return true;
}

// -- Behaviour of one line ------------------------------------------------------------------------------------------
function dress(line) {
  const item = box(line, "item"), remove = part(line, "remove");
  let timer;
  item.setAttribute("role", "combobox");
  item.setAttribute("aria-expanded", "false");
  item.setAttribute("aria-autocomplete", "list");
  remove.hidden = false;
  remove.addEventListener("click", () => {
    empty(line);
    addUp();
    reach(box(blankRow(), "item"));
    tidy();
  });
  item.addEventListener("input", () => {
    forget(line);
    addUp();
    clearTimeout(timer);
    const text = item.value.trim(), turn = ++asking;
    // Codes come from scanners and end with Enter; only words are looked up while they are typed.
    if (text.length < 2 || /^[\d۰-۹٠-٩\]]+$/.test(text)) return closeSuggestions(line);
    timer = setTimeout(() => find(text).then((answer) => { if (turn === asking && item.value.trim() === text) suggest(line, answer); }, () => {}), 180);
  });
  item.addEventListener("blur", () => { clearTimeout(timer); closeSuggestions(line); });
  item.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      if (move(line, event.key === "ArrowDown" ? 1 : -1)) event.preventDefault();
    } else if (event.key === "Escape" && line.querySelector(".suggest")) {
      closeSuggestions(line);
      event.stopPropagation();
    } else if (event.key === "Enter" && !event.isComposing && !event.ctrlKey) {
      event.preventDefault();
      clearTimeout(timer);
      asking++;
      const list = line.querySelector(".suggest"), chosen = list && [...list.children].findIndex((option) => option.ariaSelected === "true");
      if (list && chosen >= 0) choose(line, list.hits[chosen]);
      else if (!part(line, "product") || (part(line, "product").value && part(line, "asked").value === item.value)) reach(box(blankRow(), "item"));
      else enter(line);
    }
  });
  for (const name of ["quantity", "amount", "price", "cost", "pack"]) {
    const field = box(line, name);
    field?.addEventListener("input", () => {
      // A quantity or an amount: the one that is written last counts.
      if (name === "amount" && field.value) box(line, "quantity").value = "";
      if (name === "quantity" && field.value && box(line, "amount")) box(line, "amount").value = "";
      addUp();
    });
    field?.addEventListener("focus", () => { field.dataset.before = field.value; });
    field?.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.ctrlKey) return;
      event.preventDefault();
      // A scan into a number box is taken out again and becomes its own line.
      const before = field.dataset.before || "", code = field.value.startsWith(before) ? field.value.slice(before.length) : field.value;
      const next = blankRow();
      if (name !== "pack" && isCode(code)) {
        field.value = before;
        box(next, "item").value = code;
        return enter(next);
      }
      reach(box(next, "item"));
    });
  }
}
// A GTIN with a check digit that fits.
function isCode(text) {
  if (!/^(\d{8}|\d{12,14})$/.test(text)) return false;
  return [...text].reverse().reduce((sum, digit, place) => sum + Number(digit) * (place % 2 ? 3 : 1), 0) % 10 === 0;
}

// -- The whole form -------------------------------------------------------------------------------------------------
const add = form.querySelector("[data-add]");
const words = add.querySelector("[data-words]");
words.textContent = words.dataset.words;
add.addEventListener("click", (event) => { event.preventDefault(); reach(box(blankRow(), "item")); });
addEventListener("keydown", (event) => {
  if ((event.key === "F9" || (event.key === "Enter" && event.ctrlKey)) && !event.repeat) {
    event.preventDefault();
    form.requestSubmit(form.querySelector("[data-save]") || form.querySelector("button[value=save]"));
  }
  if (event.key === "F2") { event.preventDefault(); box(blankRow(), "item").focus(); }
});
// What is typed or scanned while nothing is being written goes to the next free line.
addEventListener("keydown", (event) => {
  if (event.key.length !== 1 || event.key === " " || event.ctrlKey || event.metaKey || event.altKey) return;
  if (!event.target.closest("input:not([type=radio]), select, textarea")) box(blankRow(), "item").focus();
});
// Saving waits for the answers that are under way.
form.addEventListener("submit", (event) => {
  if (!waiting.size) return;
  event.preventDefault();
  event.stopPropagation();
  const pressed = event.submitter;
  Promise.allSettled([...waiting]).then(() => { waiting.clear(); form.requestSubmit(pressed); });
});
lines().forEach(dress);
addUp();
const alert_ = form.querySelector("[role=alert]");
const free = blankRow();
if (alert_) alert_.focus(); else box(free, "item").focus({ preventScroll: true });
tidy();
