// The texts that this tab remembers beside the columns: a text that was in a column is remembered by its lane
// (RUN/LANE) until it is pruned. They belong to the run that the page shows. `pruned` and the `names` that were given
// to texts beside the columns are part of the set-up, so that Undo restores them; it sends the document event
// 'playground:renamed' [source, name].
window.playground.branches = (() => {
  const KEY = 'playground-branches';
  const MOST = 24; // runs whose texts are remembered
  const TEXTS = 60; // of one run
  let runs = load(); // [[run, [source, …]], …], the last used last
  let pruned = [];
  let names = {}; // by source, of renamed texts that no column shows
  const first = called(); // by source, the name that it had before

  function load() {
    try {
      const kept = JSON.parse(sessionStorage.getItem(KEY) ?? '[]');
      return Array.isArray(kept) ? kept : [];
    } catch { return []; }
  }
  function called() {
    try { return { ...JSON.parse(sessionStorage.getItem(`${KEY}-called`) ?? '{}') }; } catch { return {}; }
  }
  function save() {
    try {
      sessionStorage.setItem(KEY, JSON.stringify(runs));
      sessionStorage.setItem(`${KEY}-called`, JSON.stringify(first));
    } catch { /* a frame may be denied its storage */ }
  }
  const base = (run) => run.split(':')[0];
  const strips = () => [...document.querySelectorAll('#columns > .lane .strip')].filter((s) => s.offsetParent);

  function learn() {
    const shown = strips();
    const run = shown.find(({ dataset }) => dataset.run)?.dataset.run;
    if (!run) return;
    const own = shown.filter(({ dataset }) => dataset.run === run).map(({ dataset }) => dataset.source);
    const key = base(run);
    const known = runs.find(([of]) => of === key)?.[1] ?? [];
    const all = [...new Set([...known, ...own])].slice(-TEXTS);
    runs = [...runs.filter(([of]) => of !== key), [key, all]].slice(-MOST);
    const again = pruned.filter((source) => !own.includes(source)); // a text that is shown is not pruned
    save();
    if (again.length === pruned.length) return;
    pruned = again;
    playground.gather();
  }
  let soon = null;
  document.addEventListener('playground:shown', () => {
    clearTimeout(soon);
    soon = setTimeout(() => {
      learn();
      document.dispatchEvent(new CustomEvent('playground:branches'));
    }, 60); // every strip is drawn by then
  });

  return {
    known: (run) => (runs.find(([of]) => of === base(run))?.[1] ?? []).filter((source) => !pruned.includes(source)),
    get pruned() { return pruned; },
    get names() { return names; },
    named(source, before, given) {
      first[source] ??= before;
      names = { ...names, [source]: given };
      save();
      playground.gather();
    },
    prune(sources) {
      pruned = [...new Set([...pruned, ...sources])].slice(-TEXTS);
      playground.gather();
      document.dispatchEvent(new CustomEvent('playground:branches'));
    },
    // A reloaded tab has them as they were; the server knows the names.
    opened(sources, given = {}) {
      names = { ...given };
      this.restored(sources, given);
    },
    // Undo restores them.
    restored(sources, given = {}) {
      pruned = Array.isArray(sources) ? sources : [];
      const known = names;
      names = { ...given };
      for (const source of Object.keys(first)) {
        const [was, now] = [known[source] ?? first[source], names[source] ?? first[source]];
        if (was !== now) document.dispatchEvent(new CustomEvent('playground:renamed', { detail: [source, now] }));
      }
      playground.gather();
      document.dispatchEvent(new CustomEvent('playground:branches'));
    },
  };
})();
