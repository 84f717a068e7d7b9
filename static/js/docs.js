// The page of the API: Swagger UI over our own schema. The key that is typed in stays in this page only.
const place = document.querySelector("[data-schema]");

if (place && window.SwaggerUIBundle) {
  window.SwaggerUIBundle({
    url: place.dataset.schema,
    domNode: place,
    presets: [window.SwaggerUIBundle.presets.apis],
    layout: "BaseLayout",
    deepLinking: true,
    docExpansion: "list",
    defaultModelsExpandDepth: 0,
    displayRequestDuration: true,
    persistAuthorization: false,
    tryItOutEnabled: true,
    validatorUrl: null,
  });
}
