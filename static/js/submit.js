// A form is sent once: after the first press its buttons rest. Menus close on Escape and on a press elsewhere.
addEventListener("submit", (event) => {
  const form = event.target;
  if (event.defaultPrevented || form.method !== "post") return;
  if (form.dataset.sent) return event.preventDefault();
  form.dataset.sent = "1";
  // Only after the browser has read the pressed button's name and value.
  setTimeout(() => form.querySelectorAll("button").forEach((button) => button.setAttribute("aria-disabled", "true")));
});
// Back from the next page: the same form may be sent again (its reference keeps it one act).
addEventListener("pageshow", () => {
  document.querySelectorAll("form[data-sent]").forEach((form) => {
    delete form.dataset.sent;
    form.querySelectorAll("button").forEach((button) => button.removeAttribute("aria-disabled"));
  });
});
const close = (except) => document.querySelectorAll("details[data-menu][open]").forEach((menu) => {
  if (!except || !menu.contains(except)) menu.open = false;
});
addEventListener("click", (event) => close(event.target));
addEventListener("keydown", (event) => {
  const menu = event.key === "Escape" && document.querySelector("details[data-menu][open]");
  if (menu) { menu.open = false; menu.querySelector("summary").focus(); }
});
