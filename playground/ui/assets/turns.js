// A queue of a person's acts on the columns. Each is sent once the page shows the response to the one
// before: a response draws the columns as the server knew them, and would undo an act that it did
// not know of yet. Gradio calls over() at the end of each such event.
window.playground.turns = (() => {
  const PATIENCE = 20_000; // milliseconds after which a response is no longer waited for
  const STARTS = 1000; // the same for Run, which may first have to load a model
  const BUTTONS = '#run, #clear, #add, .acts .act'; // Gradio's buttons whose clicks are queued too
  const waiting = []; // {act, merge}
  const columns = new Map(); // by lane: {key, box, send}
  let sent = 0; // how many events were sent
  let busy = false;
  let timer = null;
  let replayed = null; // the button whose queued click is being repeated

  function begin(patience = PATIENCE) {
    sent += 1;
    busy = true;
    clearTimeout(timer);
    timer = setTimeout(over, patience);
  }

  function next() {
    while (!busy && waiting.length) {
      begin();
      if (!waiting.shift().act()) busy = false;
    }
    if (!busy) clearTimeout(timer);
  }

  // The components have the response now, and the elements will have drawn it a frame later. A control
  // that was moved meanwhile sends its last position in between, which is waited for as well.
  function over() {
    const last = sent;
    setTimeout(() => {
      if (sent !== last) return;
      busy = false;
      for (const lane of document.querySelectorAll('.lane.leaving')) lane.classList.remove('leaving');
      next();
    }, 20);
  }

  // `act` returns whether it sent an event. Of adjacent acts in the queue with the same `merge`, the
  // last alone is sent.
  function take(act, merge = null) {
    if (merge && waiting.at(-1)?.merge === merge) waiting.pop();
    waiting.push({ act, merge });
    next();
  }

  document.addEventListener('click', (event) => {
    const button = event.target.closest?.(BUTTONS);
    if (!button || button.disabled) return;
    if (button === replayed) return;
    const patience = button.matches('#run') ? STARTS : PATIENCE;
    if (busy) {
      event.preventDefault();
      event.stopImmediatePropagation();
      take(() => {
        if (!button.isConnected || button.disabled) return false;
        begin(patience);
        replayed = button;
        button.click();
        replayed = null;
        return true;
      });
    } else begin(patience);
  }, true);

  return {
    take,
    over,
    get busy() { return busy; },
    // Notes an event that Gradio sends by itself; `given` is its data.
    sent(given) {
      begin();
      return given;
    },
    // The elements of the columns, by keys: a column may have moved when an act's turn comes.
    column(lane, column) { columns.set(lane, column); },
    send(key, event, data, merge = null) {
      take(() => {
        const found = [...columns.values()].find((c) => c.key === key && c.box.isConnected);
        if (!found) return false; // it was removed
        found.send(event, { ...data, key });
        return true;
      }, merge);
    },
  };
})();
