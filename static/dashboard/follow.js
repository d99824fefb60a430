// One stream of Server-Sent Events that is opened again for as long as the page lives.

/**
 * Follow an address; handlers: functions by event name, which get its data as JSON, and `state` (true: connected).
 * `next`: returns the address to begin again from after the stream was closed for good. Returns a function that ends it.
 */
export function follow(address, handlers, next = () => address) {
  let source = null;
  let timer = null;
  let ended = false;

  function open(from) {
    source = new EventSource(from);
    source.onopen = () => handlers.state?.(true);
    source.onerror = () => {
      handlers.state?.(false);
      // The browser itself tries again while the stream is CONNECTING; an answer that was no stream ends it.
      if (source.readyState === EventSource.CLOSED && !ended) {
        clearTimeout(timer);
        timer = setTimeout(() => open(next()), 1000 + Math.random() * 2000);
      }
    };
    for (const [name, handle] of Object.entries(handlers)) {
      if (name !== "state") source.addEventListener(name, (event) => handle(JSON.parse(event.data), event.lastEventId));
    }
  }

  open(address);
  return () => { ended = true; clearTimeout(timer); source.close(); };
}
