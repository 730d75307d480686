// What a person picked, until the page shows it. An answer that arrives meanwhile may be one to something older:
// it moves no cursor back, and where it is drawn over the answer to the pick, the pick is sent once more.
// (Gradio's own queue of the last event would send the first pick's data again.)
// const picks = playground.picks(); places are compared as JSON.
// picks.made(from, to, send): a person went from one place to another; `send`, where it is given, tells the server.
// picks.stale(place): whether the page now shows a place that was left already.
window.playground.picks = () => {
  const FORGOTTEN = 5000; // milliseconds after which an answer is not awaited any more
  const AGAIN = 3; // how often a pick is sent once more, at most
  const left = new Set(); // places that were left while the last one was awaited
  let last = null; // the last place, as long as it is awaited
  let when = 0;
  let sent = null; // of the last pick {told, send, times: how often it is left, drawn: whether the page showed it}

  // Whether what the page shows now was drawn over the last pick, which then is sent again.
  function overdrawn(told) {
    if (!sent) return;
    const over = sent.drawn && told !== sent.told;
    sent.drawn = told === sent.told;
    if (!over || sent.times === 0) return;
    sent.times -= 1;
    queueMicrotask(sent.send); // once every column has marked what was drawn
  }

  return {
    made(from, to, send = null) {
      if (Date.now() - when > FORGOTTEN) left.clear();
      else if (last !== null) left.add(last);
      left.add(JSON.stringify(from));
      last = JSON.stringify(to);
      left.delete(last);
      when = Date.now();
      sent = send && { told: last, send, times: AGAIN, drawn: false };
    },
    stale(place) {
      const told = JSON.stringify(place);
      overdrawn(told);
      if (last !== null && told !== last && left.has(told) && Date.now() - when < FORGOTTEN) return true;
      last = null;
      left.clear();
      return false;
    },
    // Whatever else a person does may change what is shown.
    forget() { sent = null; },
  };
};

// The token that is selected in the columns, which all of them share: `at` is where it is.
window.playground.marks = Object.assign(window.playground.picks(), { at: null });
for (const act of ['pointerdown', 'keydown', 'change'])
  document.addEventListener(act, ({ target }) => { if (!target.closest?.('.strip .text')) playground.marks.forget(); }, true);
document.addEventListener('playground:shown', () => playground.marks.forget()); // another run in the columns
