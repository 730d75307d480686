// Earlier states of the page, for Undo, Redo and a reload. They are kept in this tab alone, with the
// name of the shown run; the run itself is kept on the server.
// An entry: {setup, run}; while the set-up stays the same, `run` is set to each run that is shown.
{
  const KEY = 'playground-past';
  const MOST = 50; // entries
  const BYTES = 1_500_000; // of them all; a browser keeps about five million
  const SETTLES = 120; // milliseconds in which the parts of one change arrive
  const ARRIVES = 5000; // milliseconds after which no more parts of a restored entry are awaited
  const TOGETHER = 1000; // milliseconds within which changes of one field are one entry, as in typing

  let entries = [];
  let at = -1;
  let opened = false;
  let timer = null;
  let changed = { keys: '', when: 0 };
  let restoring = null; // the entry that was requested from the server
  let adopting = 0; // the time until which changes are the page's opening
  let arriving = 0; // the time until which the parts of a restored entry may still arrive
  let ticket = 0; // the number of the last request
  let coming = null; // a run that changed while the set-up did not
  let sealed = null; // the entry on which Clear was pressed: it keeps its run
  let clearing = 0; // the time until which changes are those of Clear, and one entry
  let tell = () => {}; // redraws the buttons
  let ask = () => {}; // sends the event to Gradio

  const text = (value) => JSON.stringify(value);

  function shownRun() {
    for (const strip of document.querySelectorAll('#columns > .lane .strip'))
      if (strip.dataset.run) return strip.dataset.run;
    return '';
  }

  // The names of the fields that differ between two set-ups; a recipe's has its column's number.
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
      while (write()) { // drop the oldest entries, but never the shown one
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
    // A change that was undone by hand makes no entry.
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

  // The parts of one change arrive one by one: the run, then the set-up, or the other way round. A
  // run that changed alone is noted at the second look, unless it must be `now`.
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
        return; // the page shows the restored entry
      }
      arriving = 0; // the server wrote it in another form
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
      // With the same run, the server changes the set-up alone, and a text goes on.
      ask(run === shownRun(), { setup, run, why, ticket });
      return true;
    });
  }

  // Called with the server's response, or where it refused.
  function answered({ well, ticket: of }) {
    if (!restoring || (well && restoring.ticket !== of)) return;
    if (well) {
      at = restoring.to;
      playground.reference.restored(entries[at].setup.reference);
      playground.branches.restored(entries[at].setup.pruned, entries[at].setup.called);
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
    // Called where the set-up or the shown run may have changed.
    changed() { timer ??= setTimeout(settle, SETTLES); },
    // The state to open with. A reloaded tab has the address it had before; in a frame of another
    // site's page, which is reloaded with it, the address it was opened with.
    opening() {
      const kept = load();
      const { asked } = playground.link;
      const again = kept && (kept.address === asked || parent !== window && kept.asked === asked);
      if (again) {
        [entries, at] = [kept.entries, kept.at];
        playground.branches.opened(entries[at].setup.pruned, entries[at].setup.called);
      }
      const lost = playground.connection.lost();
      return { search: location.search, hash: asked, kept: again ? entries[at] : null, lost };
    },
  });

  // Before Clear empties the page, its state becomes an entry.
  document.addEventListener('click', (event) => {
    if (!event.target.closest?.('#clear')) return;
    settle(true);
    [sealed, clearing] = [entries[at] ?? null, Date.now() + 3000];
  }, true);
  document.addEventListener('input', ({ isTrusted }) => {
    if (isTrusted) [clearing, arriving] = [0, 0];
  }, true);
  // Who acts at once, on a page that stands as it was noted, changes it: its opening is over.
  for (const kind of ['pointerdown', 'keydown']) {
    document.addEventListener(kind, ({ isTrusted }) => {
      if (!isTrusted || Date.now() >= adopting || at < 0) return;
      if (text(playground.setup()) === text(entries[at].setup)) adopting = 0;
    }, true);
  }

  // A text field has its own Undo.
  const typing = (target) => target.isContentEditable || target.matches?.(
    'textarea, input:not([type=range], [type=checkbox], [type=radio], [type=button])');
  document.addEventListener('keydown', (event) => {
    if (!(event.ctrlKey || event.metaKey) || event.altKey || typing(event.target) || playground.area.shown !== 'compare') return;
    const key = event.key.toLowerCase();
    const by = key === 'z' ? (event.shiftKey ? 1 : -1) : key === 'y' && !event.shiftKey ? 1 : 0;
    if (!by) return;
    event.preventDefault();
    go(by);
  });
  addEventListener('pagehide', () => { settle(true); save(); });
}
