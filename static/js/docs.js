// The page of the API. Without this script all of it can be read; trying out needs it.

// One language for all examples: the one that was chosen last, also the next time.
const KEPT = "kiryana-docs-language";
const choose = (language) => {
  for (const input of document.querySelectorAll(`.doc-tabs input[value="${CSS.escape(language)}"]`)) input.checked = true;
};
try {
  choose(localStorage.getItem(KEPT) ?? "sh");
} catch {
  // a browser that keeps nothing
}
document.addEventListener("change", (event) => {
  if (!event.target.matches(".doc-tabs input")) return;
  const before = event.target.getBoundingClientRect().top;
  choose(event.target.value);
  // Examples above have other lengths now: what the reader looks at stays where it is.
  scrollBy({ top: event.target.getBoundingClientRect().top - before, behavior: "instant" });
  try {
    localStorage.setItem(KEPT, event.target.value);
  } catch {
    // as above
  }
});

// A link to an example or a code inside something folded opens it. On a small screen the contents begin folded.
const contents = document.querySelector("[data-contents]");
if (contents && matchMedia("(max-width: 60rem)").matches) contents.open = false;
contents?.addEventListener("click", (event) => {
  if (event.target.matches("a") && matchMedia("(max-width: 60rem)").matches) contents.open = false;
});

// Swagger UI over our own schema: 1.4 MB, fetched when its place comes near. The key that is typed in stays in this page.
const place = document.querySelector("[data-schema]");
let asked = false;

const start = () => {
  if (asked) return;
  asked = true;
  // Before our own, which has the last word.
  const styles = Object.assign(document.createElement("link"), { rel: "stylesheet", href: place.dataset.styles });
  document.querySelector("link[rel=stylesheet]").before(styles);
  const script = document.createElement("script");
  script.src = place.dataset.bundle;
  script.addEventListener("load", () => {
    window.SwaggerUIBundle({
      url: place.dataset.schema,
      domNode: place,
      presets: [window.SwaggerUIBundle.presets.apis],
      layout: "BaseLayout",
      deepLinking: true,
      docExpansion: "list",
      defaultModelsExpandDepth: -1,
      displayRequestDuration: true,
      persistAuthorization: false,
      tryItOutEnabled: true,
      validatorUrl: null,
      syntaxHighlight: { activated: false },
    });
  });
  document.head.append(script);
};

if (place) {
  const deep = () => {
    if (location.hash.startsWith("#/")) {
      start();
      place.scrollIntoView();
    }
  };
  addEventListener("hashchange", deep);
  deep();
  new IntersectionObserver((seen) => seen.some((one) => one.isIntersecting) && start(), { rootMargin: "1200px" }).observe(place);
}
