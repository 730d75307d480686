// The set-up in the fragment of the page's address, which browsers send to no server. The query is
// part of every event's request, where its length is limited and where proxies would log the
// prompt. `ui/links.py` parses it.
{
  const OURS = ['model', 'prompt', 'recipe', 'name', 'tokens', 'least', 'seed', 'stop', 'chat', 'alone', 'split', 'from', 'z'];
  const LONG = 2000; // characters from which it is compressed: nobody reads a longer one
  const MOST = 500_000; // characters of a link; few browsers accept many more

  // Values at their defaults are left out, so that links are short.
  function pairs(setup) {
    const found = [];
    if (setup.model) found.push(['model', setup.model]);
    found.push(['prompt', setup.prompt]);
    setup.recipes.forEach((recipe, i) => {
      found.push(['recipe', recipe]);
      if (setup.names.some(Boolean)) found.push(['name', setup.names[i] ?? '']);
    });
    found.push(['tokens', setup.tokens]);
    if (setup.least !== '0') found.push(['least', setup.least]);
    found.push(['seed', setup.seed]);
    for (const stop of setup.stop.split('\n').filter(Boolean)) found.push(['stop', stop]);
    if (setup.template) found.push(['chat', setup.template]);
    if (setup.alone) found.push(['alone', '1']);
    if (setup.split) found.push(['split', '1']);
    if (setup.reference) found.push(['from', setup.reference]);
    return found;
  }

  async function packed(found) {
    const stream = new Blob([JSON.stringify(found)]).stream()
      .pipeThrough(new CompressionStream('deflate-raw'));
    const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
    let text = '';
    for (let i = 0; i < bytes.length; i += 8192)
      text += String.fromCharCode(...bytes.subarray(i, i + 8192));
    // The values that the page's scripts read as it opens are not compressed.
    const beside = new URLSearchParams(found.filter(([name]) => ['chat', 'from'].includes(name)));
    return `${beside}${beside.size ? '&' : ''}z=` + btoa(text).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');
  }

  // The fragment with its #; a promise where it has to be compressed.
  function code(setup) {
    const found = pairs(setup);
    const plain = '#' + new URLSearchParams(found);
    if (plain.length <= LONG || !('CompressionStream' in window)) return plain;
    return packed(found).then((short) => (short.length + 1 < plain.length ? '#' + short : plain));
  }

  let shown = location.hash; // as this script wrote it; a pasted link differs
  function show(search, hash) {
    shown = hash;
    history.replaceState(history.state, '', location.pathname + search + hash);
  }

  // An older link's query moves to the fragment before Gradio reads it.
  function arrive() {
    const query = new URLSearchParams(location.search);
    const ours = new URLSearchParams([...query].filter(([name]) => OURS.includes(name)));
    if (!ours.size) return location.hash;
    for (const name of OURS) query.delete(name);
    const hash = `#${ours}${location.hash.length > 1 ? '&' + location.hash.slice(1) : ''}`;
    show(query.size ? `?${query}` : '', hash);
    return hash;
  }

  const asked = arrive();
  let opened = null; // the set-up the page opened with, as a link
  let last = null; // as it is now
  let turn = 0;

  window.playground.link = {
    asked,
    shown: () => shown,
    // While the set-up is the one that the page opened with, the address stays as it was.
    async write(setup) {
      const mine = ++turn;
      const made = code(setup);
      const now = typeof made === 'string' ? made : await made;
      if (mine !== turn) return;
      last = now;
      const hash = last === opened ? asked : last;
      if (opened !== null && hash !== shown) show(location.search, hash);
    },
    opened() { opened = last ?? ''; },
    async share(base, setup) {
      const hash = setup ? await code(setup) : location.hash;
      const link = (base || location.origin + location.pathname) + hash;
      if (link.length > MOST) return 'Too long for a link';
      if (!(await playground.copy(link))) return 'Share link';
      return link.length > LONG ? `Link copied, ${link.length.toLocaleString('en')} characters`
        : 'Link copied';
    },
  };

  // A link pasted into this tab may change the fragment alone, which does not reload the page.
  addEventListener('hashchange', () => location.reload());
}
