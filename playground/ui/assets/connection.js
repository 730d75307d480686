// What a page does that loses its server. Gradio keeps one request open for as long as a page is; where that breaks off, servers
// are asked until one answers. If it is another one (started again, or another behind the same address), the page is loaded
// again, as it holds nothing of it. This tab keeps for that what stands in the columns, and the set-up of the run that is
// being written: `ui/restore.py` shows the texts, and the run goes on.
{
  const KEPT = 'playground-lost';
  const WRITING = 'playground-writing'; // also over a reload without a loss
  const PAUSE = 500; // milliseconds between two questions; up to twice as many, as all pages ask at once
  const AWAY = 'The server does not answer. What is written stays, and the page goes on as soon as it does.';
  const strips = new Map(); // by element: () => its value

  let writing = null; // the set-up of the run that is being written, with its seed
  let over = true; // whether the status line says that nothing is written
  let opened = false;
  let away = false;
  let leaving = false;

  const load = (key) => { try { return JSON.parse(sessionStorage.getItem(key)); } catch { return null; } };
  function keep(key, value) {
    try {
      if (value === null) sessionStorage.removeItem(key);
      else sessionStorage.setItem(key, JSON.stringify(value));
      return true;
    } catch { return false; } // a frame may be denied its storage, or have no room
  }

  function note(setup) {
    writing = setup;
    keep(WRITING, setup);
  }
  const rest = () => { if (opened && over && writing) note(null); };

  function shown() {
    const texts = [];
    for (const [element, value] of strips) {
      const v = element.isConnected ? value() : null;
      if (!v) continue;
      const { run, source, recipe, output, tokens, figures } = v;
      texts[v.lane] = { run, source, recipe, output, tokens, figures };
    }
    return Array.from(texts, (text) => text ?? null);
  }

  const say = () => {
    document.body.classList.toggle('away', away);
    document.dispatchEvent(new Event('playground:connection'));
  };

  async function present() {
    const { root, api_prefix: prefix = '' } = window.gradio_config;
    for (;;) {
      try {
        const answer = await fetch(`${root}${prefix}/app_id`, { cache: 'no-store' });
        if (answer.ok) return (await answer.json()).app_id;
      } catch { /* it does not answer */ }
      await new Promise((done) => { setTimeout(done, PAUSE * (1 + Math.random())); });
    }
  }

  async function lose(heartbeat) {
    if (away || leaving) return;
    away = true;
    const lost = { again: writing, texts: shown() };
    if (!keep(KEPT, lost)) keep(KEPT, { ...lost, texts: [] });
    say();
    if (await present() !== window.gradio_config.app_id) return location.reload();
    // The same server, as after a moment without a network. Where a run was followed, Gradio loads the page again by itself.
    away = false;
    keep(KEPT, null);
    say();
    fetch(heartbeat).then(({ body }) => body.pipeTo(new WritableStream())).catch(() => {}); // that it breaks off is seen
  }

  // A request is listed once it has ended, however it ended.
  new PerformanceObserver((list) => {
    const heartbeat = list.getEntries().find(({ name }) => name.includes('/heartbeat/'));
    if (heartbeat) lose(heartbeat.name);
  }).observe({ type: 'resource', buffered: true });

  window.playground.connection = {
    get away() { return away ? AWAY : ''; },
    column: (element, value) => strips.set(element, value),
    // Called with what the status line shows. A run that ended with its server is still to be written.
    line({ kind, stopped }) {
      over = kind !== 'running' && !stopped;
      rest();
    },
    // What this page kept before it was loaded again; null where no server was lost.
    lost() {
      const lost = load(KEPT);
      keep(KEPT, null);
      writing = load(WRITING);
      return lost;
    },
    opened() {
      opened = true;
      rest();
    },
    // The set-up of the run that is being written; null where none is.
    get writing() { return writing; },
  };
  document.addEventListener('playground:ran', ({ detail }) => { if (detail?.again) note(detail.again); });
  addEventListener('pagehide', () => { leaving = true; });
  addEventListener('pageshow', () => { leaving = false; });
}
