// "Show" beside a password box shows what is typed. The button is there only when this script is.
document.querySelectorAll("[data-show]").forEach((button) => {
  const field = document.getElementById(button.dataset.show);
  const words = [button.textContent, button.dataset.hideText];
  button.hidden = false;
  button.addEventListener("click", () => {
    const shown = field.type === "password";
    field.type = shown ? "text" : "password";
    button.textContent = words[Number(shown)];
    button.setAttribute("aria-pressed", String(shown));
    field.focus();
  });
  // Never sent as readable text: browsers would remember it.
  field.form.addEventListener("submit", () => { field.type = "password"; });
});
