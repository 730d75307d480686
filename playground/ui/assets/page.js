// What belongs to no single element: theme, keys, the address. Runs before Gradio's own script.
window.playground = (() => {
  const remember = (key, value) => {
    try { return value === undefined ? localStorage.getItem(key) : localStorage.setItem(key, value); }
    catch { return null; } // in a frame, storage may be denied
  };

  function theme(name) {
    document.body.classList.toggle('dark', name === 'dark');
    document.documentElement.style.colorScheme = name;
    document.dispatchEvent(new CustomEvent('playground:theme', { detail: name }));
  }

  // Gradio has set the theme from the address or the system by now. A theme chosen on the page is
  // stored, and also written to the address if that names one.
  const said = new URLSearchParams(location.search).has('__theme');
  const chosen = remember('playground-theme');
  if (chosen && !said) theme(chosen);
  function rename(name) {
    const query = new URLSearchParams(location.search);
    query.set('__theme', name);
    history.replaceState(history.state, '', `${location.pathname}?${query}${location.hash}`);
  }
  const dark = () => document.body.classList.contains('dark');

  const titles = new Map(); // by column
  const columns = new Map(); // by lane, the value of its recipe's element
  let fields = null; // the set-up beside the columns, from Gradio's components
  let now = null; // the whole set-up
  let told = false; // whether a call of its listeners is due
  let ran = null; // the request of the run on the page: {prompt, chat, split, model, tokens}; model is null for any

  // What changed since a column's text was generated: 'recipe', 'prompt', 'model', or ''.
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
  // The whole set-up, from the elements themselves, so that it is never older than the page.
  function gather() {
    if (!fields) return;
    const shown = [...columns].sort(([a], [b]) => a - b).map(([, column]) => column)
      .filter(({ value, box }) => value && box.isConnected).map(({ value }) => value);
    now = {
      ...fields, recipes: shown.map((v) => v.written), names: shown.map((v) => v.name),
      template: playground.chat.told(Boolean(fields.chat)), reference: playground.reference.letter,
      pruned: playground.branches.pruned, called: playground.branches.names,
    };
    lanes().forEach(dress);
    if (told) return; // once for all that changes together
    told = true;
    queueMicrotask(() => {
      told = false;
      announce();
      playground.link.write(now);
      playground.changed();
    });
  }
  const announce = () => document.dispatchEvent(new CustomEvent('playground:setup'));

  return {
    remember,
    toggleTheme() {
      const name = dark() ? 'light' : 'dark';
      remember('playground-theme', name);
      if (said) rename(name);
      theme(name);
    },
    address(given) {
      fields = given;
      playground.chat.follow();
      gather();
    },
    // The value of a column's recipe; null where the column is not shown.
    column(lane, value, box) {
      columns.set(lane, { value, box });
      if (box) dress(box);
      gather();
    },
    // The value of the recipe of a shown column, by its lane.
    columnAt: (lane) => columns.get(lane)?.value ?? null,
    gather,
    setup: () => now,
    // Called where the text of a column changed.
    redress(lane) {
      dress(lane);
      announce();
      playground.changed();
    },
    // The title of a column without a preset: its name, or the steps that it does not share with the
    // other columns without one. `value` is its recipe's; null where the preset's title is shown.
    titled(lane, value, show) {
      titles.set(lane, { value, show });
      for (const known of titles.keys()) if (!known.isConnected) titles.delete(known);
      const own = [...titles.values()].filter(({ value: v }) => v && !v.name);
      const parts = own.map(({ value: v }) => v.steps.filter((s) => s.enabled && !s.neutral)
        .map((s) => `${s.strategy} ${s.value}`.trim()));
      const shared = (part) => own.length > 1 && parts.every((list) => list.includes(part));
      const seen = new Map();
      own.forEach(({ value: v, show: tell }, i) => {
        const differing = parts[i].filter((part) => !shared(part));
        const title = (differing.length ? differing : parts[i]).join(', ') || v.written || 'Own recipe';
        const times = (seen.get(title) ?? 0) + 1;
        seen.set(title, times);
        tell(times > 1 ? `${title} (${times})` : title);
      });
      if (value?.name) show(value.name);
    },
    // Called with the set-up of a run once it is on the page.
    ran(setup) {
      ran = setup;
      lanes().forEach(dress);
      document.dispatchEvent(new CustomEvent('playground:ran', { detail: setup }));
      announce();
    },
    // Called once the address's set-up is on the page; before, components also send a change when
    // they are first drawn.
    opened() {
      playground.connection.opened();
      playground.chat.opened();
      playground.link.opened();
      playground.past.opened();
    },
    share: (base) => playground.link.share(base, now),
  };
})();

document.addEventListener('keydown', (event) => {
  if (event.target.closest?.('[data-enter]')) return; // what is typed there is sent by itself
  if (playground.area.shown !== 'compare') return;
  if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    document.activeElement?.dispatchEvent(new Event('change', { bubbles: true }));
    document.querySelector('#run')?.click();
  }
}, true);

// Boxes for whole numbers are text boxes, which keep every digit; the arrow keys change the number.
document.addEventListener('focusin', ({ target }) => {
  if (target.matches?.('.number input')) target.inputMode = 'numeric';
});
// What is typed at the choice of model searches the list, in place of the name that stands there.
document.addEventListener('focusin', ({ target }) => {
  if (target.matches?.('#model input')) setTimeout(() => target.select());
});
document.addEventListener('keydown', (event) => {
  const by = { ArrowUp: 1n, ArrowDown: -1n }[event.key];
  const box = event.target;
  if (!by || !box.matches?.('.number input') || !/^\s*\d+\s*$/.test(box.value)) return;
  event.preventDefault();
  const number = BigInt(box.value.trim()) + by * (event.shiftKey ? 10n : 1n);
  box.value = String(number < 0n ? 0n : number);
  box.dispatchEvent(new Event('input', { bubbles: true }));
});
