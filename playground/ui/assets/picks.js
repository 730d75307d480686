// What an element asked to be selected, until the page shows it: what arrives meanwhile is older than what a person
// has done, and moves no cursor back. const picks = playground.picks(); places are compared as JSON.
// picks.made(from, to): a person went from one place to another. picks.stale(place): whether the page now shows a
// place that was left already.
window.playground.picks = () => {
  const FORGOTTEN = 5000; // milliseconds after which an answer is not awaited any more
  const left = new Set();
  let last = null;
  let when = 0;
  return {
    made(from, to) {
      if (Date.now() - when > FORGOTTEN) left.clear();
      else if (last !== null) left.add(last);
      left.add(JSON.stringify(from));
      last = JSON.stringify(to);
      left.delete(last);
      when = Date.now();
    },
    stale(place) {
      const told = JSON.stringify(place);
      if (last !== null && told !== last && left.has(told) && Date.now() - when < FORGOTTEN) return true;
      last = null;
      left.clear();
      return false;
    },
  };
};

// The token that is selected in the columns, which all of them share: `at` is where it is.
window.playground.marks = Object.assign(window.playground.picks(), { at: null });
