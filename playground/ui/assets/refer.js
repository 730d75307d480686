// Which column the others are compared with: by itself each with the one before it.
window.playground.reference = (() => {
  const letters = 'ABCDEF';
  let chosen = letters.indexOf(new URLSearchParams(location.search).get('from') || '-');
  const columns = () => [...document.querySelectorAll('.strip')].filter((s) => s.offsetParent);
  const known = () => (chosen < columns().length ? chosen : -1);

  return {
    // The lane that a lane is compared with; none for the reference itself.
    of: (lane) => (known() < 0 ? lane - 1 : known()),
    get letter() { return letters[chosen] ?? ''; },
    count: () => columns().length,
    // What a drawing must know of the columns: the reference, and the text that each shows.
    view: () => ({
      reference: known() < 0 ? null : known(),
      texts: columns().map(({ dataset }) => Number(dataset.output) || 0),
    }),
    choose(lane) {
      chosen = lane;
      document.dispatchEvent(new CustomEvent('playground:reference'));
      playground.address(playground.setup());
    },
  };
})();
