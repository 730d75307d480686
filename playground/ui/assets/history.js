// What stood on the page before: Undo and Redo, and what a reload brings back. Kept in this tab alone,
// with the name of the run that was shown, which the server keeps for whoever knows it.
// An entry: {setup, run}; `run` follows what is shown while the set-up is the same.
{
  const KEY = 'playground-past';
  const MOST = 50; // entries
  const BYTES = 1_500_000; // of them all; a browser keeps about five million
  const SETTLES = 120; // milliseconds in which the parts of one change arrive
  const ARRIVES = 5000; // milliseconds after which a restored entry is as complete as it will be
  const TOGETHER = 1000; // further changes of the same thing within that are one, as while one types

  let entries = [];
  let at = -1;
  let opened = false;
  let timer = null;
  let changed = { keys: '', when: 0 };
  let restoring = null; // the entry that was asked for
  let adopting = 0; // until then what comes is what the page opens with
  let arriving = 0; // until then at the latest, the parts of a restored entry come one by one
  let ticket = 0; // of the last question
  let coming = null; // a run that changed alone
  let sealed = null; // the entry that Clear was pressed on: its run is its last
  let clearing = 0; // until then what changes is Clear's work, and one entry
  let tell = () => {}; // draws the buttons
  let ask = () => {}; // tells Gradio

  const text = (value) => JSON.stringify(value);

  function shownRun() {
    for (const strip of document.querySelectorAll('#columns > .lane .strip'))
      if (strip.dataset.run) return strip.dataset.run;
    return '';
  }

  // What differs between two set-ups, a column's recipe with its place.
  function differing(a, b) {
    const keys = Object.keys(b).filter((key) => text(a[key]) !== text(b[key]));
    return keys.map((key) => (key === 'recipes' && a.recipes.length === b.recipes.length
      ? `recipes ${b.recipes.findIndex((recipe, i) => recipe !== a.recipes[i])}` : key)).join();
  }

  function save() {
    if (at < 0) return;
    try {
      let kept = entries;
      let now = at;
      let value = '';
      const write = () => {
        value = text({ entries: kept, at: now, address: playground.link.shown(), asked: playground.link.asked });
        return value.length > BYTES && kept.length > 1;
      };
      while (write()) { // the oldest go first, but never the one that is shown
        const cut = now > 0 ? 1 : 0;
        kept = cut ? kept.slice(1) : kept.slice(0, -1);
        now -= cut;
      }
      sessionStorage.setItem(KEY, value);
    } catch { /* a frame may be denied its storage, or have no room */ }
  }

  function load() {
    try { return JSON.parse(sessionStorage.getItem(KEY) ?? 'null'); } catch { return null; }
  }

  function push(entry, keys) {
    const now = Date.now();
    const same = keys === changed.keys && now - changed.when < TOGETHER && at === entries.length - 1;
    changed = { keys, when: now };
    entries = entries.slice(0, at + 1);
    if (same && at > 0) entries[at] = entry;
    else at = entries.push(entry) - 1;
    // What was changed back is no change.
    if (at > 0 && text(entries[at].setup) === text(entries[at - 1].setup) &&
        (entries[at].run || !entries[at - 1].run)) {
      entries[at - 1].run = entries[at].run;
      entries.pop();
      at -= 1;
    }
    if (entries.length > MOST) {
      entries.shift();
      at -= 1;
    }
  }

  // The parts of one change arrive one by one: what is shown, then what is set up, or the other way
  // round. A run that changed alone is looked at twice, unless something else is to happen `now`.
  function settle(now) {
    clearTimeout(timer);
    timer = null;
    const setup = playground.setup();
    if (!opened || restoring || !setup) return;
    const entry = { setup, run: shownRun() };
    if (at < 0 || Date.now() < adopting) {
      at = Math.max(at, 0);
      entries[at] = entry;
    } else if (arriving && text(setup) !== text(entries[at].setup)) {
      if (Date.now() < arriving) {
        if (now !== true) timer = setTimeout(settle, SETTLES);
        return; // the entry is as it was asked for
      }
      arriving = 0; // the server put it in words of its own
      entries[at] = entry;
    } else {
      arriving = 0;
      const top = entries[at];
      const keys = differing(top.setup, setup);
      const other = top.run !== entry.run;
      if (!keys && other && now !== true && entry.run !== coming) {
        coming = entry.run;
        timer = setTimeout(settle, 2 * SETTLES);
        return;
      }
      if (Date.now() < clearing && top !== sealed) entries[at] = entry;
      else if (keys || (other && (sealed || !entry.run))) push(entry, keys || 'run');
      else top.run = entry.run;
      if (Date.now() > clearing) sealed = null;
    }
    coming = null;
    save();
    draw();
  }

  const draw = () => tell({ undo: at > 0, redo: at < entries.length - 1 });

  function go(by) {
    playground.turns.take(() => {
      settle(true);
      const to = Math.max(0, Math.min(at + by, entries.length - 1));
      if (to === at || !opened) return false;
      ticket += 1;
      restoring = { to, ticket };
      const { setup, run } = entries[to];
      const why = by < 0 ? 'undo' : 'redo';
      // Where the same run stays, whatever is being written goes on.
      ask(run === shownRun(), { setup, run, why, ticket });
      return true;
    });
  }

  // The server's answer is on the page, or its refusal.
  function answered({ well, ticket: of }) {
    if (!restoring || (well && restoring.ticket !== of)) return;
    if (well) {
      at = restoring.to;
      playground.reference.restored(entries[at].setup.reference);
      playground.chat.restored(entries[at].setup.template, entries[at].setup.prompt);
      arriving = Date.now() + ARRIVES;
      changed = { keys: '', when: 0 };
      [sealed, clearing] = [null, 0];
    }
    restoring = null;
    playground.changed();
    draw();
  }

  Object.assign(window.playground, {
    past: {
      attach(buttons, act) {
        [tell, ask] = [buttons, act];
        draw();
      },
      undo: () => go(-1),
      redo: () => go(1),
      answered,
      opened() {
        opened = true;
        adopting = Date.now() + 600;
        playground.changed();
      },
      failed: () => answered({ well: false, ticket }),
    },
    // Something of the set-up changed, or of what is shown.
    changed() { timer ??= setTimeout(settle, SETTLES); },
    // What the page is opened with. A tab that was reloaded is at the address it had, or within the
    // page of another site, which reloads with it, at the one it was opened with.
    opening() {
      const kept = load();
      const { asked } = playground.link;
      const again = kept && (kept.address === asked || parent !== window && kept.asked === asked);
      if (again) [entries, at] = [kept.entries, kept.at];
      return { search: location.search, hash: asked, kept: again ? entries[at] : null };
    },
  });

  // Before Clear empties the page, what is on it is an entry.
  document.addEventListener('click', (event) => {
    if (!event.target.closest?.('#clear')) return;
    settle(true);
    [sealed, clearing] = [entries[at] ?? null, Date.now() + 3000];
  }, true);
  document.addEventListener('input', ({ isTrusted }) => {
    if (isTrusted) [clearing, arriving] = [0, 0];
  }, true);

  // A text field has its own Undo.
  const typing = (target) => target.isContentEditable || target.matches?.(
    'textarea, input:not([type=range], [type=checkbox], [type=radio], [type=button])');
  document.addEventListener('keydown', (event) => {
    if (!(event.ctrlKey || event.metaKey) || event.altKey || typing(event.target)) return;
    const key = event.key.toLowerCase();
    const by = key === 'z' ? (event.shiftKey ? 1 : -1) : key === 'y' && !event.shiftKey ? 1 : 0;
    if (!by) return;
    event.preventDefault();
    go(by);
  });
  addEventListener('pagehide', () => { settle(true); save(); });
}
