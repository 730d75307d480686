// What a person picked, until the page shows it. A response that arrives meanwhile may belong to an older pick:
// it moves no cursor back, and where it is drawn over the response to the pick, the pick is sent again.
// (Gradio's own queue of the last event would send the first pick's data again.)
// const picks = playground.picks(); places are compared as JSON.
// picks.made(from, to, send): a person went from one place to another; `send`, where it is given, sends the pick.
// picks.turned(): a person went to another view of that place.
// picks.stale(place): whether the page now shows a place that was left already.
window.playground.picks = () => {
  const FORGOTTEN = 5000; // milliseconds after which a response is not awaited any more
  const SOON = 60; // milliseconds
  const AGAIN = 3; // how often a pick is sent again, at most
  const left = new Set(); // places that were left while the last one was awaited
  let last = null; // the last place, as long as it is awaited
  let when = 0;
  // The last pick {told, send, times: how often it may still be sent, drawn: whether the page showed it, turned:
  // whether a person went to another view before that}.
  let sent = null;

  // Whether what the page shows now was drawn over the last pick, or the pick for a view that was left; then it is
  // sent again.
  function overdrawn(told) {
    if (!sent) return;
    const here = told === sent.told;
    const over = here ? sent.turned : sent.drawn;
    sent.drawn = here;
    if (here) sent.turned = false;
    if (!over || sent.times === 0) return;
    sent.times -= 1;
    const { send } = sent; // once every column has marked what was drawn, and Gradio has ended that event
    setTimeout(() => { if (sent?.send === send) send(); }, SOON);
  }

  return {
    made(from, to, send = null) {
      if (Date.now() - when > FORGOTTEN) left.clear();
      else if (last !== null) left.add(last);
      left.add(JSON.stringify(from));
      last = JSON.stringify(to);
      left.delete(last);
      when = Date.now();
      sent = send && { told: last, send, times: AGAIN, drawn: false, turned: false };
    },
    stale(place) {
      const told = JSON.stringify(place);
      overdrawn(told);
      if (last !== null && told !== last && left.has(told) && Date.now() - when < FORGOTTEN) return true;
      last = null;
      left.clear();
      return false;
    },
    // A person goes to another view, of the same place.
    turned() { if (sent && !sent.drawn) sent.turned = true; },
    // Whatever else a person does may change what is shown.
    forget() { sent = null; },
  };
};

// The token that is selected in the columns, which all of them share: `at` is where it is.
window.playground.marks = Object.assign(window.playground.picks(), { at: null });
for (const act of ['pointerdown', 'keydown', 'change'])
  document.addEventListener(act, ({ target }) => {
    if (target.closest?.('#inspector .tab-wrapper')) playground.marks.turned();
    else if (!target.closest?.('.strip .text')) playground.marks.forget();
  }, true);
document.addEventListener('playground:shown', () => playground.marks.forget()); // another run in the columns
