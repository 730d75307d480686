// What belongs to no single element: theme, keys, the address. Runs before Gradio's own script.
window.playground = (() => {
  const remember = (key, value) => {
    try { return value === undefined ? localStorage.getItem(key) : localStorage.setItem(key, value); }
    catch { return null; } // a frame may be denied its storage
  };

  function theme(name) {
    document.body.classList.toggle('dark', name === 'dark');
    document.documentElement.style.colorScheme = name;
    document.dispatchEvent(new CustomEvent('playground:theme', { detail: name }));
  }
  const dark = () => document.body.classList.contains('dark');

  // The set-up as a query: what is at its default stays out, so that short links stay short.
  function query(setup) {
    const q = new URLSearchParams();
    if (setup.model) q.set('model', setup.model);
    q.set('prompt', setup.prompt);
    for (const recipe of setup.recipes) q.append('recipe', recipe);
    q.set('tokens', setup.tokens);
    if (setup.least) q.set('least', setup.least);
    q.set('seed', setup.seed);
    for (const stop of setup.stop.split('\n').filter(Boolean)) q.append('stop', stop);
    const chat = playground.chat.told(Boolean(setup.chat));
    if (chat) q.set('chat', chat);
    if (setup.alone) q.set('alone', '1');
    if (playground.reference.letter) q.set('from', playground.reference.letter);
    return '?' + q;
  }

  // Components tell a change when they are first drawn, before a link's set-up was read from the
  // address: until then, and while nothing differs from then, the address stays as it was opened.
  let last = null;
  let opened = null;
  const asked = location.search;

  let now = null; // the set-up as it stands
  let ran = null; // what the run on the page was asked: {prompt, chat, split, model, tokens}; a model of null is any

  // Why a column's text is not what Run would write now: 'recipe', 'prompt', 'model', or ''.
  function outdated({ dataset: { ran: recipe, written } }) {
    if (!recipe || !written) return '';
    if (recipe !== written) return 'recipe';
    if (!now || !ran) return '';
    if (now.prompt !== ran.prompt) return 'prompt';
    if (Boolean(now.chat) !== ran.chat || Boolean(now.split) !== ran.split) return 'prompt';
    return ran.model !== null && now.model !== ran.model ? 'model' : '';
  }
  function dress(lane) {
    const why = outdated(lane);
    const { dataset: { ran: recipe, written }, classList } = lane;
    lane.dataset.outdated = why;
    classList.toggle('edited', Boolean(why));
    classList.toggle('previewing',
      Boolean(written) && (!recipe || Boolean(why) || classList.contains('opened')));
  }
  const lanes = () => document.querySelectorAll('#columns > .lane');
  const announce = () => document.dispatchEvent(new CustomEvent('playground:setup'));

  return {
    remember,
    toggleTheme() {
      const name = dark() ? 'light' : 'dark';
      remember('playground-theme', name);
      theme(name);
    },
    restoreTheme() {
      const asked = new URLSearchParams(location.search).get('__theme');
      theme(asked || remember('playground-theme') || (dark() ? 'dark' : 'light'));
    },
    address(setup) {
      last = query(setup);
      now = setup;
      playground.chat.follow();
      lanes().forEach(dress);
      announce();
      const search = last === opened ? asked : last;
      if (opened !== null && search !== location.search)
        history.replaceState(history.state, '', location.pathname + search + location.hash);
    },
    setup: () => now,
    // A column's recipe changed, or what it shows, or its controls were opened or closed.
    edited(lane) {
      dress(lane);
      announce();
    },
    // Another run is on the page.
    ran(setup) {
      ran = setup;
      lanes().forEach(dress);
      document.dispatchEvent(new CustomEvent('playground:ran', { detail: setup }));
      announce();
    },
    opened() {
      opened = last ?? '';
      playground.chat.follow();
    },
    async share(base) {
      const link = (base || location.origin + location.pathname) + (last ?? location.search);
      try {
        await navigator.clipboard.writeText(link);
        return 'Link copied';
      } catch { // no clipboard without https or in a frame: show it to be copied by hand
        window.prompt('Copy this link', link);
        return 'Share link';
      }
    },
  };
})();

document.addEventListener('keydown', (event) => {
  if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    document.activeElement?.dispatchEvent(new Event('change', { bubbles: true }));
    document.querySelector('#run')?.click();
  }
}, true);
