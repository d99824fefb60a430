"use strict";

// A signed-in staff user may write by their session, which needs the token from its cookie.
const withToken = (request) => {
  const cookie = document.cookie.split("; ").find((each) => each.startsWith("csrftoken="));
  if (cookie && request.method && request.method !== "GET") {
    request.headers["X-CSRFToken"] = cookie.slice("csrftoken=".length);
  }
  return request;
};

const place = document.getElementById("docs");
SwaggerUIBundle({
  domNode: place,
  url: place.dataset.schema,
  deepLinking: true,
  displayRequestDuration: true,
  requestInterceptor: withToken,
  validatorUrl: null,  // it would ask another host
});
