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

  // Gradio has read the theme from the address or the system by now. One that is chosen on the page
  // holds until another is, and where the address names one, is written there.
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
  const columns = new Map(); // by lane, what its recipe's element shows
  let fields = null; // what is set up beside the columns, as Gradio's components tell it
  let now = null; // the set-up as it stands
  let told = false; // whether the others will be told of it
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
  // All that is set up, from the elements themselves: what is asked for in the same moment is up to date.
  function gather() {
    if (!fields) return;
    const shown = [...columns].sort(([a], [b]) => a - b).map(([, column]) => column)
      .filter(({ value, box }) => value && box.isConnected).map(({ value }) => value);
    now = {
      ...fields, recipes: shown.map((v) => v.written), names: shown.map((v) => v.name),
      template: playground.chat.told(Boolean(fields.chat)), reference: playground.reference.letter,
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
    // What a column's recipe is now; null where there is no such column.
    column(lane, value, box) {
      columns.set(lane, { value, box });
      if (box) dress(box);
      gather();
    },
    gather,
    setup: () => now,
    // What a column shows changed.
    redress(lane) {
      dress(lane);
      announce();
      playground.changed();
    },
    // What a column without a preset is called: its name, or the steps it does not share with the
    // other columns that have none. `value` is its recipe's, null where its preset's title stands.
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
    // Another run is on the page.
    ran(setup) {
      ran = setup;
      lanes().forEach(dress);
      document.dispatchEvent(new CustomEvent('playground:ran', { detail: setup }));
      announce();
    },
    // What the address asks for is on the page: until then, components tell a change when they are
    // first drawn.
    opened() {
      playground.chat.opened();
      playground.link.opened();
      playground.past.opened();
    },
    share: (base) => playground.link.share(base, now),
  };
})();

document.addEventListener('keydown', (event) => {
  if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    document.activeElement?.dispatchEvent(new Event('change', { bubbles: true }));
    document.querySelector('#run')?.click();
  }
}, true);

// A whole number keeps its digits however many they are; the arrow keys count, as in a number box.
document.addEventListener('focusin', ({ target }) => {
  if (target.matches?.('.number input')) target.inputMode = 'numeric';
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
