// The token that a person picked last in a column. An answer to something that the server was asked
// before, such as what a run opens on, may arrive after the pick's own and draw another token over
// it; then the pick is sent once more.
window.playground.lastPick = (() => {
  const AGAIN = 3; // how often at most
  let last = null; // at {run, lane, output, step}, send, how often that is left, whether it was drawn

  const same = (one, other) => ['run', 'lane', 'output', 'step']
    .every((part) => (one[part] ?? 0) === (other[part] ?? 0));
  // Whatever else a person does may change what is shown, and so does another run in the columns.
  const forget = ({ target }) => { if (!target.closest?.('.strip .text')) last = null; };
  for (const act of ['pointerdown', 'keydown', 'change']) document.addEventListener(act, forget, true);
  document.addEventListener('playground:shown', () => { last = null; });

  document.addEventListener('playground:mark', ({ detail }) => {
    if (!last) return;
    const overdrawn = last.drawn && !same(last.at, detail);
    last.drawn = same(last.at, detail);
    if (!overdrawn || last.left === 0) return;
    last.left -= 1;
    queueMicrotask(last.send); // once every column has marked what was drawn
  });

  return (at, send) => { last = { at, send, left: AGAIN, drawn: false }; };
})();
