"use strict";

const STREAM_SHOWN_MS = 2000;

// A stream has no end that could be waited for: show what has come after two seconds, and close it.
const firstSeconds = async (url, request) => {
  const answer = await fetch(url, request);
  if (!(answer.headers.get("Content-Type") || "").startsWith("text/event-stream")) return answer;
  const reader = answer.body.getReader();
  setTimeout(() => reader.cancel(), STREAM_SHOWN_MS);
  const chunks = [];
  for (let read = await reader.read(); !read.done; read = await reader.read()) chunks.push(read.value);
  return new Response(new Blob(chunks), answer);
};

// A signed-in staff user may write by their session, which needs the token from its cookie.
const prepared = (request) => {
  request.userFetch = firstSeconds;
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
  requestInterceptor: prepared,
  validatorUrl: null,  // it would ask another host
});
