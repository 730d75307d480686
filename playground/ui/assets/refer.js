// The column that the others are compared with; by default each is compared with the one before it.
window.playground.reference = (() => {
  const letters = 'ABCDEF';
  let chosen = letters.indexOf(new URLSearchParams(playground.link.asked.slice(1)).get('from') || '-');
  const columns = () => [...document.querySelectorAll('.strip')].filter((s) => s.offsetParent);
  const known = () => (chosen < columns().length ? chosen : -1);

  // Where columns move because one is removed or duplicated, the reference moves with its text.
  let source = null;
  let settling = null;
  function settle() {
    const sources = columns().map((strip) => strip.dataset.source);
    const at = sources.indexOf(source);
    if (chosen < 0 || sources[chosen] === source) return;
    if (source && at >= 0) choose(at);
    else source = sources[chosen];
  }
  document.addEventListener('playground:shown', () => {
    clearTimeout(settling);
    settling = setTimeout(settle, 50); // every strip is drawn by then
  });

  function choose(lane) {
    chosen = lane;
    source = columns()[lane]?.dataset.source ?? null;
    document.dispatchEvent(new CustomEvent('playground:reference'));
    playground.gather();
  }

  return {
    choose,
    // The lane that a lane is compared with; none for the reference itself.
    of: (lane) => (known() < 0 ? lane - 1 : known()),
    get letter() { return letters[chosen] ?? ''; },
    count: () => columns().length,
    // The data about the columns in the inspector's events: the reference, and the text of each.
    view: () => ({
      run: columns()[0]?.dataset.run,
      reference: known() < 0 ? null : known(),
      texts: columns().map(({ dataset }) => Number(dataset.output) || 0),
    }),
    // Undo restores the reference.
    restored(letter) {
      chosen = letters.indexOf(letter || '-');
      source = null;
      document.dispatchEvent(new CustomEvent('playground:reference'));
    },
  };
})();
